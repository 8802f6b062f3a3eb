import type { Batch } from '@forge/contracts';
import type { TrainedStep } from '../train-worker';

/** The metrics of one optimizer step; names and formulas as in METRICS of `@forge/telemetry`. */
export function stepMetrics(
  { statistics }: Batch,
  { result, lag }: TrainedStep,
  times: { stepMs: number; waitMs: number },
): Record<string, number> {
  return {
    ...statistics,
    ...result.metrics,
    ...lag,
    loss: result.loss,
    gradient_norm: result.gradientNorm,
    learning_rate: result.learningRate,
    logprob_mismatch: result.logprobMismatch,
    'tokens/trained': result.tokens,
    'time/step_ms': times.stepMs,
    'time/train_ms': result.durationMs,
    'time/wait_ms': times.waitMs,
  };
}
