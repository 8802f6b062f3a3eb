import type { StepResult } from '@forge/model';

/** What the losses of `@forge/rl` call their metrics, and what METRICS of `@forge/telemetry` calls them. */
const LOSS_METRICS: Readonly<Record<string, string>> = {
  entropy: 'entropy',
  kl_behaviour: 'kl/behaviour',
  kl_reference: 'kl/reference',
  clip_fraction: 'ratio/clip_fraction',
  effective_sample_size: 'ratio/effective_sample_size',
};

/** Metrics of one step under the names people see; a metric of an algorithm's own goes under `loss/`. */
export function stepMetrics(
  result: StepResult,
  timing: { stepMs: number; waitMs: number },
): Record<string, number> {
  const own = Object.entries(result.metrics).map(([name, value]) => [
    LOSS_METRICS[name] ?? `loss/${name}`,
    value,
  ]);
  return {
    loss: result.loss,
    ...(Object.fromEntries(own) as Record<string, number>),
    gradient_norm: result.gradientNorm,
    learning_rate: result.learningRate,
    logprob_mismatch: result.logprobMismatch,
    'tokens/trained': result.tokens,
    'time/step_ms': timing.stepMs,
    'time/train_ms': result.durationMs,
    'time/wait_ms': timing.waitMs,
  };
}
