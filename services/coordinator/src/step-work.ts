import type { TelemetryEvent } from '@forge/contracts';

type ServiceEvent = Extract<TelemetryEvent, { kind: 'service' }>;

/** Micro-batches of the step that makes version `step`. */
interface Trained {
  step: number;
  done: number;
  of: number;
}

/** The work of the step under way, as policies and trainer report it. */
export class StepWork {
  private generatedTokens = 0;
  private generatedBefore = 0;
  private trained: Trained | null = null;

  /** Tokens generated since the coordinator began to count. */
  get totalTokens(): number {
    return this.generatedTokens;
  }

  /** Tokens generated since the newest step was committed. */
  get tokens(): number {
    return this.generatedTokens - this.generatedBefore;
  }

  /** Micro-batches of a step; null before the trainer has told of them. */
  microBatchesOf(step: number): { done: number; of: number } | null {
    if (this.trained?.step !== step) return null;
    const { done, of } = this.trained;
    return { done, of };
  }

  addReport({ service, values }: Pick<ServiceEvent, 'service' | 'values'>): void {
    if (service === 'policy') this.generatedTokens += Math.max(0, values['tokens'] ?? 0);
    if (service !== 'trainer') return;
    const { 'step/number': step, 'step/microBatchesDone': done, 'step/microBatches': of } = values;
    if (isCount(step) && isCount(done) && isCount(of)) this.trained = { step, done, of };
  }

  /** A step was committed: the next one begins. */
  beginNext(): void {
    this.generatedBefore = this.generatedTokens;
  }
}

function isCount(value: number | undefined): value is number {
  return value !== undefined && Number.isSafeInteger(value) && value >= 0;
}
