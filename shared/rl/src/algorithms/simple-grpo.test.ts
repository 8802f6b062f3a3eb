import {
  evaluateLoss,
  expectClose,
  expectMatrixClose,
  finiteDifferences,
  goldenCase,
  type LossCase,
} from '../losses/loss.fixture';
import { simpleGrpoLoss } from './simple-grpo';

const fill = (rows: number, columns: number, value: number) =>
  Array.from({ length: rows }, () => Array.from({ length: columns }, () => value));
const lossOf = (lossCase: LossCase, klCoefficient = 0.1) =>
  evaluateLoss(simpleGrpoLoss({ klCoefficient }), lossCase);

describe("simpleGrpoLoss, torchforge's values", () => {
  it.each<[string, LossCase, number]>([
    ['one token, advantage 1', { logprobs: [[0]], advantages: [1] }, -1],
    ['one token, advantage 2', { logprobs: [[0]], advantages: [2] }, -2],
    ['one token, advantage -2', { logprobs: [[0]], advantages: [-2] }, 2],
    [
      'far from the reference',
      { logprobs: fill(2, 3, -10), reference: fill(2, 3, -5), advantages: [10, 10] },
      4.241315910257661,
    ],
    ['all masked', { logprobs: fill(2, 2, -1), advantages: [1, 1], mask: fill(2, 2, 0) }, 0],
    ['two sequences of different lengths', goldenCase, -0.24643735074011136],
    ['nearly identical', { logprobs: [[0, -1e-8]], reference: [[1e-8, 0]], advantages: [[1, -1]] }, 0],
    ['advantage 0', { logprobs: fill(2, 2, -1), reference: fill(2, 2, -1), advantages: [0, 0] }, 0],
  ])('gives %s', (_name, lossCase, expected) => {
    expectClose(lossOf(lossCase).loss, expected);
  });
});

describe('simpleGrpoLoss', () => {
  it('weighs the divergence by its coefficient', () => {
    // e^(-0.5) + 0.5 - 1 = 0.10653066
    const lossCase = { logprobs: [[-1]], reference: [[-1.5]], advantages: [1] };
    expectClose(lossOf(lossCase, 0.1).loss, -1 + 0.010653066);
    expectClose(lossOf(lossCase, 0.5).loss, -1 + 0.05326533);
  });

  it('has the gradient -(A - beta (1 - e^(reference - logprobs))) / tokens / sequences where the mask is 1', () => {
    const { gradient } = lossOf(goldenCase);
    const expected = goldenCase.logprobs.map((row, b) => {
      const tokens = goldenCase.mask[b]!.reduce((sum, m) => sum + m, 0);
      return row.map((lp, t) => {
        const kl = 1 - Math.exp(goldenCase.reference[b]![t]! - lp);
        return (goldenCase.mask[b]![t]! * (0.1 * kl - goldenCase.advantages[b]!)) / tokens / 2;
      });
    });
    expectMatrixClose(gradient, expected, 1e-7);
  });

  it('has the divergence alone as its slope: the surrogate is constant in value', () => {
    const withoutAdvantage = finiteDifferences(simpleGrpoLoss(), { ...goldenCase, advantages: [0, 0] });
    expectMatrixClose(finiteDifferences(simpleGrpoLoss(), goldenCase), withoutAdvantage, 1e-8);
    expectMatrixClose(lossOf({ ...goldenCase, advantages: [0, 0] }).gradient, withoutAdvantage, 1e-8);
  });

  it.each([1, 3, 8].flatMap((rows) => [1, 10, 32].map((columns) => [rows, columns] as const)))(
    'is the mean over sequences for a batch of %i x %i',
    (rows, columns) => {
      const lossCase = {
        logprobs: fill(rows, columns, -1.5),
        reference: fill(rows, columns, -1),
        advantages: Array.from({ length: rows }, (_, b) => b),
      };
      // -mean(0 … rows-1) + 0.1 (e^0.5 - 0.5 - 1)
      const { loss, gradient } = lossOf(lossCase);
      expectClose(loss, -(rows - 1) / 2 + 0.1 * (Math.exp(0.5) - 1.5));
      expect(gradient.flat().every(Number.isFinite)).toBe(true);
    },
  );
});
