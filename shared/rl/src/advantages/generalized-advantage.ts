import { deviation, type VarianceEstimator } from './statistics';

/** An episode, or a padded row of it. Shapes: all [T]. */
export interface ValuedTokens {
  /** Reward of each token; one for the whole is its last token's. */
  rewards: ArrayLike<number>;
  /** Value of the state each token is chosen in. */
  values: ArrayLike<number>;
  mask: ArrayLike<number>;
}

export interface AdvantageEstimates {
  advantages: Float64Array;
  /** Targets of the values: advantages + values. */
  returns: Float64Array;
}

/**
 * Advantage of each chosen token over what the values expected: an exponentially weighted mean of n-step advantages. Tokens
 * that were not chosen, such as a tool's answer, take no time: the next chosen one follows at once.
 *
 * Shapes: [T], 0 where the mask is 0.
 * @see Schulman et al., "High-Dimensional Continuous Control Using Generalized Advantage Estimation" (2016), equation 16
 */
export function generalizedAdvantage(
  { rewards, values, mask }: ValuedTokens,
  { gamma, lambda }: { gamma: number; lambda: number },
): AdvantageEstimates {
  const advantages = new Float64Array(mask.length);
  const returns = new Float64Array(mask.length);
  let [nextValue, nextAdvantage] = [0, 0];
  for (let t = mask.length - 1; t >= 0; t--) {
    if (mask[t] !== 1) continue;
    const value = values[t]!;
    const error = rewards[t]! + gamma * nextValue - value;
    nextAdvantage = error + gamma * lambda * nextAdvantage;
    nextValue = value;
    advantages[t] = nextAdvantage;
    returns[t] = nextAdvantage + value;
  }
  return { advantages, returns };
}

/** Smallest variance that is divided by, as verl adds. */
const LEAST_VARIANCE = 1e-8;

/**
 * Numbers of several rows brought to mean 0 and standard deviation 1 over all that are chosen.
 *
 * Shapes: [rows][T] -> [rows][T], 0 where the mask is 0.
 * Edge:   a single number -> 0.
 */
export function whitenChosen(
  rows: readonly { values: ArrayLike<number>; mask: ArrayLike<number> }[],
  estimator: VarianceEstimator,
): Float64Array[] {
  const chosen = rows.flatMap(({ values, mask }) => Array.from(values).filter((_, t) => mask[t] === 1));
  const mean = chosen.reduce((sum, value) => sum + value, 0) / chosen.length;
  const squares = chosen.reduce((sum, value) => sum + (value - mean) ** 2, 0);
  const scale = Math.hypot(deviation(squares, chosen.length, estimator), Math.sqrt(LEAST_VARIANCE));
  return rows.map(({ values, mask }) =>
    Float64Array.from(values, (value, t) => (mask[t] === 1 ? (value - mean) / scale : 0)),
  );
}
