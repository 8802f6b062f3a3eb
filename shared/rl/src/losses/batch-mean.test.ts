import fc from 'fast-check';
import { neg, type Tensor } from '@forge/graph';
import { rolloutMean, sequenceMean, tokenMean, type BatchMean } from './batch-mean';
import { evaluateLoss, expectMatrixClose, type LossCase } from './loss.fixture';

const TOKENS = 6;
/** A rollout: a log-prob for each token, and the place of each: in which part, or chosen by no one. */
interface Rollout {
  logprobs: number[];
  parts: (number | null)[];
}
const rollout: fc.Arbitrary<Rollout> = fc.record({
  logprobs: fc.array(fc.double({ min: -3, max: 0, noNaN: true }), { minLength: TOKENS, maxLength: TOKENS }),
  parts: fc.array(fc.constantFrom(null, 0, 0, 1, 2), { minLength: TOKENS, maxLength: TOKENS }),
});
const rollouts = fc.array(
  rollout.filter(({ parts }) => parts.some((part) => part !== null)),
  { minLength: 1, maxLength: 4 },
);

const loss = (mean: BatchMean) => (terms: Parameters<BatchMean>[1] & { logprobs: Tensor }) =>
  mean(neg(terms.logprobs), terms);

/** The batch with a row for each part of a rollout, or for each whole one. */
function batchOf(all: readonly Rollout[], isCut: boolean): LossCase & { owners: number[] } {
  const rows = all.flatMap(({ logprobs, parts }, owner) => {
    const numbers = [...new Set(parts.filter((part) => part !== null))].sort();
    const masks = isCut
      ? numbers.map((number) => parts.map((part) => Number(part === number)))
      : [parts.map((part) => Number(part !== null))];
    return masks.map((mask) => ({ logprobs, mask, owner }));
  });
  const tokens = all.map(({ parts }) => parts.filter((part) => part !== null).length);
  return {
    logprobs: rows.map((row) => row.logprobs),
    mask: rows.map((row) => row.mask),
    advantages: rows.map(() => 1),
    owners: rows.map((row) => row.owner),
    rolloutTokens: rows.map((row) => tokens[row.owner]!),
    rolloutCount: all.length,
  };
}

/** Slopes by token of a rollout, over all its rows. */
function slopesOf(all: readonly Rollout[], owners: readonly number[], gradient: number[][]): number[][] {
  return all.map(({ logprobs }, rolloutIndex) =>
    logprobs.map((_, t) =>
      gradient.reduce((sum, row, b) => (owners[b] === rolloutIndex ? sum + row[t]! : sum), 0),
    ),
  );
}

describe.each([
  ['rolloutMean', rolloutMean],
  ['tokenMean', tokenMean],
])('%s', (_, mean) => {
  it('gives a rollout in several parts the value and slopes of one that is whole', () => {
    fc.assert(
      fc.property(rollouts, (all) => {
        const [whole, cut] = [batchOf(all, false), batchOf(all, true)];
        const [a, b] = [evaluateLoss(loss(mean), whole), evaluateLoss(loss(mean), cut)];
        expect(b.loss).toBeCloseTo(a.loss, 9);
        expectMatrixClose(
          slopesOf(all, cut.owners, b.gradient),
          slopesOf(all, whole.owners, a.gradient),
          1e-12,
        );
      }),
      { numRuns: 100 },
    );
  });
});

describe('rolloutMean', () => {
  it('is the mean over rollouts of the mean over the tokens of all parts', () => {
    // (1 + 2 + 6) / 3 and 5.
    const found = evaluateLoss(loss(rolloutMean), {
      logprobs: [
        [-1, -2],
        [-6, -9],
        [-5, -9],
      ],
      mask: [
        [1, 1],
        [1, 0],
        [1, 0],
      ],
      advantages: [1, 1, 1],
      rolloutTokens: [3, 3, 1],
      rolloutCount: 2,
    });
    expect(found.loss).toBeCloseTo(4, 12);
  });

  it('is that over sequences where every rollout is one', () => {
    fc.assert(
      fc.property(rollouts, (all) => {
        const whole = batchOf(all, false);
        expect(evaluateLoss(loss(rolloutMean), whole)).toEqual(evaluateLoss(loss(sequenceMean), whole));
      }),
      { numRuns: 50 },
    );
  });
});
