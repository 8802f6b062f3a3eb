import type { StepResult } from '@forge/model';

/** Names of the losses' metrics in `@forge/rl`, and their names in METRICS of `@forge/telemetry`. */
const LOSS_METRICS: Readonly<Record<string, string>> = {
  entropy: 'entropy',
  kl_behaviour: 'kl/behaviour',
  kl_reference: 'kl/reference',
  clip_fraction: 'ratio/clip_fraction',
  effective_sample_size: 'ratio/effective_sample_size',
};

/**
 * Metrics of one step under the names people see, on top of those its batch brought; a metric of an algorithm's own goes
 * under `loss/`.
 */
export function stepMetrics(
  result: StepResult,
  timing: { stepMs: number; waitMs: number },
  statistics: Readonly<Record<string, number>>,
): Record<string, number> {
  const own = Object.entries(result.metrics).map(([name, value]) => [
    LOSS_METRICS[name] ?? `loss/${name}`,
    value,
  ]);
  return {
    ...statistics,
    loss: result.loss,
    ...(Object.fromEntries(own) as Record<string, number>),
    gradient_norm: result.gradientNorm,
    learning_rate: result.learningRate,
    // The trainer knows it for tokens of this version, the policies for the older tokens they generated.
    logprob_mismatch: Math.max(result.logprobMismatch, statistics['logprob_mismatch'] ?? 0),
    'tokens/trained': result.tokens,
    'tokens/trained_per_second': (1000 * result.tokens) / timing.stepMs,
    'time/step_ms': timing.stepMs,
    'time/train_ms': result.durationMs,
    'time/wait_ms': timing.waitMs,
  };
}
