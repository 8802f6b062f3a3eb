import { ForgeError } from '@forge/errors';

export interface StepLimits {
  /** Euclidean norm of the gradient before clipping. */
  maxGradientNorm?: number | undefined;
  /** KL(behaviour || policy) of the batch, in nats; with a loss that has the metric `kl_behaviour`. */
  maxKl?: number | undefined;
}

/** @throws {ForgeError} NUMERIC_LIMIT_EXCEEDED naming what an update of the step would go beyond. */
export function checkLimits(
  step: number,
  { gradientNorm, kl }: { gradientNorm: number; kl: number },
  { maxGradientNorm = Infinity, maxKl = Infinity }: StepLimits = {},
): void {
  const beyond = [
    { what: 'gradient norm', value: gradientNorm, limit: maxGradientNorm },
    { what: 'KL to the behaviour policy', value: kl, limit: maxKl },
  ].find(({ value, limit }) => !(value <= limit));
  if (beyond === undefined) return;
  const { what, value, limit } = beyond;
  const message = `train step ${step}: the ${what} is ${value}, beyond ${limit}; nothing was updated`;
  throw new ForgeError('NUMERIC_LIMIT_EXCEEDED', message, { step, what, value: String(value), limit });
}
