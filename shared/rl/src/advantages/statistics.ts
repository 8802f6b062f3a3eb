/** A variance over the numbers themselves, or as an estimate from them of that of their source. */
export type VarianceEstimator = 'population' | 'unbiased';

export function meanOf(values: readonly number[]): number {
  return values.reduce((sum, value) => sum + value, 0) / values.length;
}

/** The square root of the sum of squared distances from the mean, over `count` or one less. Edge: one value -> 0. */
export function deviation(squares: number, count: number, estimator: VarianceEstimator): number {
  const degrees = estimator === 'population' ? count : count - 1;
  return degrees > 0 ? Math.sqrt(squares / degrees) : 0;
}

/** True when no value differs from another, where arithmetic on them might find a difference by rounding. */
export function areEqual(values: readonly number[]): boolean {
  return values.every((value) => value === values[0]);
}
