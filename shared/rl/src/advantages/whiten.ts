import type { Worth } from '@forge/contracts';
import type { JudgedGroup } from '../algorithms/algorithm';
import { deviation, type VarianceEstimator } from './statistics';

export interface WhitenOptions {
  /** 'population' as in OpenRLHF, whose authors wrote REINFORCE++; verl's is 'unbiased'. */
  whitening?: VarianceEstimator | undefined;
}

/** Smallest variance that is divided by. */
const LEAST_VARIANCE = 1e-8;

/**
 * The worths of a batch brought to mean 0 and standard deviation 1 over its tokens. Each token counts, so long episodes
 * weigh more in both.
 */
export function whiten({ whitening = 'population' }: WhitenOptions = {}): (
  groups: readonly JudgedGroup[],
) => Worth[][] {
  return (groups) => {
    const tokens = totalOf(groups, (_worth, count) => count);
    const mean = totalOf(groups, sumOf) / tokens;
    const squares = totalOf(groups, (worth, count) => squaresOf(worth, count, mean));
    const scale = Math.max(deviation(squares, tokens, whitening), Math.sqrt(LEAST_VARIANCE));
    const whitened = (value: number): number => (value - mean) / scale;
    return groups.map(({ advantages, tokens: lengths }) =>
      advantages.map((worth, i) => {
        if (typeof worth === 'number') return whitened(worth);
        // A list does not say which of its zeros is a chosen token's, unless there are no more than masked ones.
        const isPlain = worth.filter((value) => value === 0).length === worth.length - lengths[i]!;
        return worth.map((value) => (isPlain && value === 0 ? 0 : whitened(value)));
      }),
    );
  };
}

function totalOf(groups: readonly JudgedGroup[], value: (worth: Worth, tokens: number) => number): number {
  return groups.reduce(
    (sum, { advantages, tokens }) =>
      advantages.reduce<number>((part, worth, i) => part + value(worth, tokens[i]!), sum),
    0,
  );
}

function sumOf(worth: Worth, tokens: number): number {
  return typeof worth === 'number' ? worth * tokens : worth.reduce<number>((sum, value) => sum + value, 0);
}

/** Squared distances from `mean` of the chosen tokens: the others are 0 in a list, and taken off. */
function squaresOf(worth: Worth, tokens: number, mean: number): number {
  if (typeof worth === 'number') return tokens * (worth - mean) ** 2;
  const all = worth.reduce((sum, value) => sum + (value - mean) ** 2, 0);
  return all - (worth.length - tokens) * mean ** 2;
}
