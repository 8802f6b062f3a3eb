import type { Delivery } from '@forge/broker';
import type { RolloutJob, TraceOrigin } from '@forge/contracts';
import { inSpan, KEEP_REASON, recordSpan, sampledOrigin, traceOf, type Span } from '@forge/telemetry';

type Job = Pick<Extract<RolloutJob, { kind: 'rollout' }>, 'index' | 'trace'>;

/**
 * What the trace of a rollout tells of one attempt at its job: `queue` from the time the job was queued to its pick-up,
 * told at once, so that something is known of an attempt whose process dies; and `attempt`, within which the work is done.
 */
export class RolloutAttempt {
  private span: Span | null = null;

  /** `slowMs`: an attempt that takes so long is kept, as is one that fails, and whatever comes after the first. */
  constructor(
    private readonly job: Job,
    private readonly delivery: Delivery,
    private readonly slowMs: number,
  ) {}

  /** Does the work of the attempt. */
  run(work: () => Promise<void>): Promise<void> {
    const { index, trace } = this.job;
    const { attempt, queuedAtMs, startedAtMs } = this.delivery;
    const parent = traceOf(trace?.traceparent);
    if (trace === undefined || parent === undefined) return work();
    const attributes = { 'forge.rollout.index': index, 'forge.attempt': attempt };
    const kept = attempt > 1 ? { [KEEP_REASON]: 'attempted again' } : {};
    // The clock of the queue is another machine's.
    const queuedMs = Math.min(Math.max(queuedAtMs, trace.admittedAtMs), startedAtMs);
    recordSpan('queue', { parent, startMs: queuedMs, attributes: { ...attributes, ...kept } }, startedAtMs);
    return inSpan('attempt', { parent, startMs: startedAtMs, attributes }, async (span) => {
      this.span = span;
      await work();
      if (this.isSlow) span?.setAttribute(KEEP_REASON, 'slow');
    });
  }

  /** The weights the job asks for are in use. */
  hasWeights(): void {
    this.span?.addEvent('has weights');
  }

  /** What travels on with the group: whatever of it is known by now to be worth keeping is kept from here on. */
  origin(): TraceOrigin | undefined {
    const { trace } = this.job;
    return trace !== undefined && (this.delivery.attempt > 1 || this.isSlow) ? sampledOrigin(trace) : trace;
  }

  private get isSlow(): boolean {
    return Date.now() - this.delivery.startedAtMs >= this.slowMs;
  }
}
