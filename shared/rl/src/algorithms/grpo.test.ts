import fc from 'fast-check';
import { finishMetrics } from '../losses/policy-metrics';
import {
  evaluateLoss,
  expectClose,
  expectMatrixClose,
  finiteDifferences,
  goldenCase,
  type LossCase,
} from '../losses/loss.fixture';
import { grpo, grpoLoss, type GrpoLossOptions } from './grpo';
import { simpleGrpoLoss } from './simple-grpo';

const { log } = Math;
/** Ratios 1.5, 1.1 and 0.5 to the behaviour policy. */
const ratios: LossCase = {
  logprobs: [[log(0.6), log(0.44), log(0.2)]],
  behaviour: [[log(0.4), log(0.4), log(0.4)]],
  advantages: [1],
};
const lossOf = (lossCase: LossCase, options: GrpoLossOptions = {}) =>
  evaluateLoss(grpoLoss(options), lossCase);

/** The same loss in plain loops. */
function slowLoss(
  c: LossCase & Required<Pick<LossCase, 'behaviour' | 'reference' | 'mask'>>,
  o: GrpoLossOptions,
): number {
  const { clipEpsilon: low = 0.2, clipEpsilonHigh: high = low, klCoefficient: beta = 0 } = o;
  const rows = c.logprobs.map((row, b) =>
    row.map((lp, t) => {
      if (c.mask[b]![t] === 0) return 0;
      const a = c.advantages[b] as number;
      const toBehaviour = Math.exp(lp - c.behaviour[b]![t]!);
      const bounded = Math.min(Math.max(toBehaviour, 1 - low), 1 + high);
      const bound = o.truncatedImportanceSampling;
      const surrogate =
        bound === undefined ? Math.min(toBehaviour * a, bounded * a) : Math.min(toBehaviour, bound) * a;
      const logRatio = c.reference[b]![t]! - lp;
      return beta * (Math.exp(logRatio) - logRatio - 1) - surrogate;
    }),
  );
  const sum = (xs: number[]) => xs.reduce((x, y) => x + y, 0);
  const tokens = c.mask.map(sum);
  if (o.normalization !== 'sequence') return sum(rows.flat()) / Math.max(1, sum(tokens));
  return sum(rows.map((row, b) => sum(row) / Math.max(1, tokens[b]!))) / rows.length;
}

describe('grpoLoss', () => {
  it('clips the ratio from above for a good token and from below for a bad one', () => {
    expectClose(lossOf(ratios).loss, -(1.2 + 1.1 + 0.5) / 3);
    expectClose(lossOf({ ...ratios, advantages: [-1] }).loss, (1.5 + 1.1 + 0.8) / 3);
  });

  it('gives no gradient to a clipped token', () => {
    // d(-ratio A)/d logprob = -ratio A, over 3 tokens.
    expectMatrixClose(lossOf(ratios).gradient, [[0, -1.1 / 3, -0.5 / 3]], 1e-7);
    expectMatrixClose(lossOf({ ...ratios, advantages: [-1] }).gradient, [[0.5, 1.1 / 3, 0]], 1e-7);
  });

  it('lets good tokens grow further with a higher upper bound', () => {
    expectClose(lossOf(ratios, { clipEpsilonHigh: 0.28 }).loss, -(1.28 + 1.1 + 0.5) / 3);
    expectClose(lossOf({ ...ratios, advantages: [-1] }, { clipEpsilonHigh: 0.28 }).loss, 3.4 / 3);
  });

  it('weighs tokens or sequences equally', () => {
    const lossCase: LossCase = {
      logprobs: [
        [-1, -1, -1],
        [-1, -1, -1],
      ],
      behaviour: [
        [-1, -1, -1],
        [-1, 0, 0],
      ],
      advantages: [1, -1],
      mask: [
        [1, 1, 1],
        [1, 0, 0],
      ],
    };
    expectClose(lossOf(lossCase).loss, -(3 - 1) / 4);
    expectClose(lossOf(lossCase, { normalization: 'sequence' }).loss, 0);
    expectMatrixClose(
      lossOf(lossCase).gradient,
      [
        [-0.25, -0.25, -0.25],
        [0.25, 0, 0],
      ],
      1e-7,
    );
    expectMatrixClose(
      lossOf(lossCase, { normalization: 'sequence' }).gradient,
      [
        [-1 / 6, -1 / 6, -1 / 6],
        [0.5, 0, 0],
      ],
      1e-7,
    );
  });

  it('adds the divergence from the reference', () => {
    const lossCase = { logprobs: [[-1]], behaviour: [[-1]], reference: [[-1.5]], advantages: [1] };
    expectClose(lossOf(lossCase, { klCoefficient: 0.5 }).loss, -1 + 0.5 * (Math.exp(-0.5) - 0.5));
  });

  it('weighs by truncated importance instead of clipping, without gradient through the weight', () => {
    const { loss, gradient, metrics } = lossOf(ratios, { truncatedImportanceSampling: 1.3 });
    expectClose(loss, -(1.3 + 1.1 + 0.5) / 3);
    expectMatrixClose(gradient, [[-1.3 / 3, -1.1 / 3, -0.5 / 3]], 1e-7);
    expect(metrics['clip_fraction']).toBe(0);
  });

  it('has, on-policy and by sequences, the gradient of the simple loss', () => {
    const lossCase = { ...goldenCase, behaviour: goldenCase.logprobs };
    const options = { klCoefficient: 0.1, normalization: 'sequence' } as const;
    expectMatrixClose(
      lossOf(lossCase, options).gradient,
      evaluateLoss(simpleGrpoLoss(), goldenCase).gradient,
      1e-7,
    );
  });

  const rows = 2;
  const columns = 3;
  const matrix = (value: fc.Arbitrary<number>) =>
    fc.array(fc.array(value, { minLength: columns, maxLength: columns }), {
      minLength: rows,
      maxLength: rows,
    });
  const logprob = fc.double({ min: -3, max: 0, noNaN: true });
  const cases = fc.record({
    logprobs: matrix(logprob),
    behaviour: matrix(logprob),
    reference: matrix(logprob),
    mask: matrix(fc.constantFrom(0, 1)),
    advantages: fc.array(fc.double({ min: -2, max: 2, noNaN: true }), { minLength: rows, maxLength: rows }),
  });
  const lossOptions = fc.record({
    clipEpsilon: fc.constantFrom(0.1, 0.2),
    clipEpsilonHigh: fc.constantFrom(undefined, 0.3),
    klCoefficient: fc.constantFrom(0, 0.2),
    normalization: fc.constantFrom('token' as const, 'sequence' as const),
    truncatedImportanceSampling: fc.constantFrom(undefined, 2),
  });

  it('equals the same formula in plain loops', () => {
    fc.assert(
      fc.property(cases, lossOptions, (c, o) => {
        expect(lossOf(c, o).loss).toBeCloseTo(slowLoss(c, o), 5);
      }),
    );
  });

  it('has the slope that finite differences show, away from the edges of the clip', () => {
    fc.assert(
      fc.property(cases, lossOptions, (c, { truncatedImportanceSampling: _, ...o }) => {
        const edges = [1 - o.clipEpsilon, 1 + (o.clipEpsilonHigh ?? o.clipEpsilon)];
        const ratiosOf = c.logprobs.flatMap((row, b) =>
          row.map((lp, t) => Math.exp(lp - c.behaviour[b]![t]!)),
        );
        fc.pre(ratiosOf.every((ratio) => edges.every((edge) => Math.abs(ratio - edge) > 1e-3)));
        expectMatrixClose(lossOf(c, o).gradient, finiteDifferences(grpoLoss(o), c), 1e-6);
      }),
      { numRuns: 25 },
    );
  });
});

describe('grpo', () => {
  const algorithm = grpo({ klCoefficient: 0.2 });

  it('adds up over micro-batches, loss and metrics, to the whole batch', () => {
    const batch = {
      ...goldenCase,
      behaviour: [
        [-1.4, -1.9, -0.5, -1],
        [-0.9, -1.2, -2, -0.2],
      ],
      entropy: [
        [0.1, 0.2, 0.3, 9],
        [0.4, 0.5, 9, 9],
      ],
    };
    const whole = evaluateLoss(algorithm.loss, batch);
    const parts = [0, 1].map((b) =>
      evaluateLoss(algorithm.loss, {
        logprobs: [batch.logprobs[b]!],
        behaviour: [batch.behaviour[b]!],
        reference: [batch.reference[b]!],
        advantages: [batch.advantages[b]!],
        mask: [batch.mask[b]!],
        entropy: [batch.entropy[b]!],
        tokenCount: 5,
        sequenceCount: 2,
      }),
    );
    expectClose(parts[0]!.loss + parts[1]!.loss, whole.loss);
    for (const [name, value] of Object.entries(whole.metrics)) {
      expectClose(parts[0]!.metrics[name]! + parts[1]!.metrics[name]!, value);
    }
    expectMatrixClose([...parts[0]!.gradient, ...parts[1]!.gradient], whole.gradient, 1e-7);
    expect(Object.keys(finishMetrics(whole.metrics)).sort()).toEqual([
      'clip_fraction',
      'effective_sample_size',
      'entropy',
      'importance_ratio',
      'kl_behaviour',
      'kl_reference',
    ]);
    // Ratios e^0.4, e^-0.1, 1, e^0.2, 1; A > 0 in the first three and < 0 in the others: only e^0.4 is clipped.
    expectClose(whole.metrics['clip_fraction']!, 1 / 5);
    expectClose(whole.metrics['entropy']!, 0.3);
  });

  it('is not disturbed by anything at padding, however large', () => {
    const loss = (at: number) =>
      evaluateLoss(algorithm.loss, {
        logprobs: [[-1, -at]],
        behaviour: [[-1.1, at]],
        reference: [[-1.2, at]],
        entropy: [[0.5, at]],
        advantages: [1],
        mask: [[1, 0]],
      });
    expect(loss(1e6)).toEqual(loss(0));
    expectClose(loss(1e6).gradient[0]![1]!, 0);
  });

  it('needs the reference only for its divergence', () => {
    expect(grpo().needsReference).toBe(false);
    expect(algorithm.needsReference).toBe(true);
    expect(evaluateLoss(grpo().loss, goldenCase).metrics).not.toHaveProperty('kl_reference');
  });

  it("is torchforge's loss exactly when simple", () => {
    const simple = grpo({ loss: 'simple', klCoefficient: 0.1 });
    expectClose(evaluateLoss(simple.loss, goldenCase).loss, -0.24643735074011136);
  });
});
