import type { Gradients } from './learner';
import type { MicroBatch } from './micro-batches';
import type { Minibatch } from './minibatches';

/** A step on a batch; what is of an optimizer update is the mean over those of the batch. */
export interface StepResult {
  loss: number;
  /** Global norm before clipping. */
  gradientNorm: number;
  learningRate: number;
  /** The loss's own metrics for the whole batch. */
  metrics: Record<string, number>;
  /** Trained tokens. */
  tokens: number;
  /** Padded tokens that went through the model. */
  paddedTokens: number;
  /** The size that micro-batches have from this step on, where it had to be halved; else null. */
  smallerMicroBatches: number | null;
  /**
   * Largest |trainer - behaviour| log-prob over trained tokens of the version being trained, before the first update; 0
   * without such tokens.
   */
  logprobMismatch: number;
  /** The same over tokens of any policy version: grows with the lag, information only. */
  logprobMismatchAnyVersion: number;
  durationMs: number;
}

/** One optimizer update, or the mean of several. */
export type Update = Pick<StepResult, 'loss' | 'gradientNorm' | 'metrics'>;

/** Metrics of the value model's update. */
export function criticMetrics({ loss, norm, metrics }: Gradients): Record<string, number> {
  const own = Object.entries(metrics).map(([name, value]) => [`critic_${name}`, value]);
  return { critic_loss: loss, critic_gradient_norm: norm, ...(Object.fromEntries(own) as object) };
}

/** Largest distance of the trainer's log-probs from the generator's. */
export class Mismatch {
  ownVersion = 0;
  anyVersion = 0;

  constructor(private readonly version: number) {}

  add({ versions, behaviour }: MicroBatch, logprobs: Float32Array): void {
    versions.forEach((version, at) => {
      if (version < 0) return;
      const mismatch = Math.abs(logprobs[at]! - behaviour[at]!);
      this.anyVersion = Math.max(this.anyVersion, mismatch);
      if (version === this.version) this.ownVersion = Math.max(this.ownVersion, mismatch);
    });
  }
}

export function meanOf(updates: readonly Update[]): Update {
  const mean = (value: (update: Update) => number): number =>
    updates.reduce((sum, update) => sum + value(update), 0) / updates.length;
  const names = Object.keys(updates[0]!.metrics);
  return {
    loss: mean(({ loss }) => loss),
    gradientNorm: mean(({ gradientNorm }) => gradientNorm),
    metrics: Object.fromEntries(names.map((name) => [name, mean(({ metrics }) => metrics[name]!)])),
  };
}

export function paddedTokens(parts: readonly Minibatch[]): number {
  const microBatches = parts.flatMap((part) => part.microBatches);
  return microBatches.reduce((count, { distinct, width }) => count + distinct * width, 0);
}
