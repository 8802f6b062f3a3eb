import fc from 'fast-check';
import { grad, Graph, evaluate, sum } from '@forge/graph';
import { tokenMean } from './batch-mean';
import { crossEntropyLoss, mixedLoss } from './cross-entropy-loss';
import { entropyBonus, highEntropyMask } from './entropy';
import { evaluateLoss } from './loss.fixture';

/** Values of what is made of entropy and mask, one row per sequence. */
function rowsOf(
  make: typeof highEntropyMask,
  entropy: number[][],
  mask: number[][],
  share: number,
): number[][] {
  const graph = new Graph();
  const terms = {
    entropy: graph.input('entropy', 'float32', ['B', 'T']),
    mask: graph.input('mask', 'float32', ['B', 'T']),
  };
  const shape = [entropy.length, entropy[0]!.length];
  const { y } = evaluate(
    { y: make(terms, share) },
    {
      entropy: { shape, data: Float64Array.from(entropy.flat()) },
      mask: { shape, data: Float64Array.from(mask.flat()) },
    },
  );
  return entropy.map((row, b) => [...y.data.slice(b * row.length, (b + 1) * row.length)]);
}

describe('highEntropyMask', () => {
  it('keeps the share of each sequence with the highest entropy', () => {
    const entropy = [
      [0.1, 2, 0.3, 1, 9],
      [5, 4, 3, 2, 1],
    ];
    const mask = [
      [1, 1, 1, 1, 0],
      [1, 1, 1, 1, 1],
    ];
    expect(rowsOf(highEntropyMask, entropy, mask, 0.5)).toEqual([
      [0, 1, 0, 1, 0],
      [1, 1, 1, 0, 0],
    ]);
  });

  it('keeps all at share 1, ties included, and nothing of an empty sequence', () => {
    expect(rowsOf(highEntropyMask, [[0, 0, 0.7]], [[1, 1, 1]], 1)).toEqual([[1, 1, 1]]);
    expect(rowsOf(highEntropyMask, [[1, 1, 1]], [[1, 1, 1]], 0.3)).toEqual([[1, 1, 1]]);
    expect(rowsOf(highEntropyMask, [[3, 2, 1]], [[0, 0, 0]], 0.5)).toEqual([[0, 0, 0]]);
  });

  it('is what sorting gives', () => {
    // Whole multiples of a hundredth: no two closer than bisection tells apart.
    const row = fc.array(fc.integer({ min: 0, max: 300 }), { minLength: 6, maxLength: 6 });
    fc.assert(
      fc.property(row, fc.constantFrom(0.2, 0.5, 0.8), (hundredths, share) => {
        const entropy = hundredths.map((value) => value / 100);
        const threshold = [...entropy].sort((a, b) => b - a)[Math.ceil(6 * share) - 1]!;
        expect(rowsOf(highEntropyMask, [entropy], [entropy.map(() => 1)], share)).toEqual([
          entropy.map((value) => Number(value >= threshold)),
        ]);
      }),
      { numRuns: 50 },
    );
  });
});

describe('entropyBonus', () => {
  const bonusOf = (target?: number) =>
    evaluateLoss((terms) => tokenMean(entropyBonus(terms, { bonus: 0.1, target }), terms), {
      logprobs: [[-1, -1, -1]],
      entropy: [[0.1, 0.3, 9]],
      mask: [[1, 1, 0]],
      advantages: [0],
    }).loss;

  it('is a share of the entropy, the same everywhere', () => {
    expect(bonusOf()).toBeCloseTo(0.1 * 0.2, 7);
  });

  it('falls to 0 as the entropy of a sequence rises to the target', () => {
    expect(bonusOf(0.4)).toBeCloseTo(0.1 * 0.5 * 0.2, 7);
    expect(bonusOf(0.2)).toBeCloseTo(0, 7);
    expect(bonusOf(0.1)).toBeCloseTo(0, 7);
  });

  it('pushes entropy up, by a weight that is a constant for the gradient', () => {
    const graph = new Graph();
    const entropy = graph.input('entropy', 'float32', ['B', 'T']);
    const mask = graph.input('mask', 'float32', ['B', 'T']);
    const [gradient] = grad(sum(entropyBonus({ entropy, mask }, { bonus: 0.1, target: 0.4 })), [entropy]);
    const shape = [1, 2];
    const { slope } = evaluate(
      { slope: gradient! },
      {
        entropy: { shape, data: Float64Array.of(0.1, 0.3) },
        mask: { shape, data: Float64Array.of(1, 1) },
      },
    );
    expect([...slope.data].map((value) => Number(value.toFixed(7)))).toEqual([0.05, 0.05]);
  });
});

describe('crossEntropyLoss', () => {
  const lossCase = { logprobs: [[-1, -3]], advantages: [7], mask: [[1, 1]], behaviour: [[-2, -2]] };

  it('is the mean of -log-probs, whatever advantages and behaviour', () => {
    const { loss, gradient } = evaluateLoss(crossEntropyLoss(), lossCase);
    expect([loss, gradient]).toEqual([2, [[-0.5, -0.5]]]);
  });

  it('is mixed into another loss by its share, with the metrics of both', () => {
    const policy = mixedLoss(
      (terms) => ({ loss: tokenMean(terms.advantages, terms), metrics: { a: tokenMean(terms.mask, terms) } }),
      crossEntropyLoss(),
      0.25,
    );
    expect(evaluateLoss(policy, lossCase)).toMatchObject({ loss: 7.5, metrics: { a: 1 } });
  });
});
