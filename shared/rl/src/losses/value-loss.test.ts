import fc from 'fast-check';
import { evaluateLoss, expectMatrixClose, finiteDifferences, type LossCase } from './loss.fixture';
import { valueLoss } from './value-loss';

const lossCase: LossCase = {
  logprobs: [[0, 0, 0, 0]],
  advantages: [0],
  oldValues: [[1, 1, 1, 1]],
  values: [[1.1, 1.5, 0.5, 9]],
  returns: [[2, 2, 2, 0]],
  mask: [[1, 1, 1, 0]],
};

describe('valueLoss', () => {
  it('is half the mean squared distance from the returns', () => {
    const { loss, gradient } = evaluateLoss(valueLoss(), lossCase, 'values');
    expect(loss).toBeCloseTo((0.9 ** 2 + 0.5 ** 2 + 1.5 ** 2) / 6, 12);
    expectMatrixClose(gradient, [[-0.9 / 3, -0.5 / 3, -1.5 / 3, 0]], 1e-12);
  });

  it('gives no gradient to a value that moved far enough towards its return, and all of it to one that moved away', () => {
    const { loss, gradient, metrics } = evaluateLoss(valueLoss({ valueClip: 0.2 }), lossCase, 'values');
    // Clipped to 1.1, 1.2 and 0.8: farther from 2 than the value itself but for the last.
    expect(loss).toBeCloseTo((0.9 ** 2 + 0.8 ** 2 + 1.5 ** 2) / 6, 7);
    expectMatrixClose(gradient, [[-0.9 / 3, 0, -1.5 / 3, 0]], 1e-7);
    expect(metrics).toEqual({ clip_fraction: 1 / 3 });
  });

  it('equals the formula in plain loops, with the slope that finite differences show, also cut into micro-batches', () => {
    const number = fc.double({ min: -2, max: 2, noNaN: true });
    const row = fc.array(number, { minLength: 3, maxLength: 3 });
    const rows = fc.array(row, { minLength: 2, maxLength: 2 });
    const masks = fc.array(fc.array(fc.constantFrom(0, 1), { minLength: 3, maxLength: 3 }), {
      minLength: 2,
      maxLength: 2,
    });
    const cases = fc.record({ values: rows, oldValues: rows, returns: rows, mask: masks });
    fc.assert(
      fc.property(cases, fc.constantFrom(undefined, 0.2, 0.5), (c, valueClip) => {
        const whole: LossCase = { logprobs: c.values, advantages: [0, 0], ...c };
        const tokens = Math.max(
          1,
          c.mask.flat().reduce<number>((sum, m) => sum + m, 0),
        );
        let slow = 0;
        c.values.forEach((values, b) => {
          values.forEach((value, t) => {
            if (c.mask[b]![t] === 0) return;
            const [old, target] = [c.oldValues[b]![t]!, c.returns[b]![t]!];
            const bound = valueClip ?? Infinity;
            const bounded = old + Math.min(Math.max(value - old, -bound), bound);
            slow += Math.max((value - target) ** 2, (bounded - target) ** 2) / 2;
          });
        });
        const loss = valueLoss({ valueClip });
        expect(evaluateLoss(loss, whole, 'values').loss).toBeCloseTo(slow / tokens, 5);
        const parts = [0, 1].map((b) =>
          evaluateLoss(
            loss,
            {
              ...{ logprobs: [c.values[b]!], advantages: [0], tokenCount: tokens },
              ...{ values: [c.values[b]!], oldValues: [c.oldValues[b]!], returns: [c.returns[b]!] },
              mask: [c.mask[b]!],
            },
            'values',
          ),
        );
        expect(parts[0]!.loss + parts[1]!.loss).toBeCloseTo(slow / tokens, 5);
        const isSmooth = c.values.every((values, b) =>
          values.every((value, t) => {
            const [old, target] = [c.oldValues[b]![t]!, c.returns[b]![t]!];
            const edges = valueClip === undefined ? [] : [old - valueClip, old + valueClip];
            const mirrored = edges.map((edge) => 2 * target - edge);
            return [...edges, ...mirrored].every((edge) => Math.abs(value - edge) > 1e-3);
          }),
        );
        fc.pre(isSmooth);
        const { gradient } = evaluateLoss(loss, whole, 'values');
        expectMatrixClose(gradient, finiteDifferences(loss, whole, 1e-6, 'values'), 1e-5);
      }),
      { numRuns: 50 },
    );
  });
});
