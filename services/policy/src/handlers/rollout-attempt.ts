import type { Delivery } from '@forge/broker';
import type { RolloutJob, TraceOrigin } from '@forge/contracts';
import {
  inOneSpan,
  inSpan,
  inTrace,
  KEEP_REASON,
  recordSpan,
  traceOf,
  within,
  type Context,
  type RunTraces,
  type Span,
} from '@forge/telemetry';

type Job = Pick<Extract<RolloutJob, { kind: 'rollout' }>, 'index' | 'trace'>;

/** A part of an attempt; works that overlap are one. Times in milliseconds since the epoch. */
interface Phase {
  name: string;
  startMs: number;
  endMs: number;
  underWay: number;
  error?: unknown;
}

/**
 * What the trace of a rollout tells of one attempt at its job: `queue` from the time the job was queued to its pick-up,
 * told at once, so that something is known of an attempt whose process dies; `attempt`, within which the work is done; and
 * its phases. Of a rollout that is not traced only the times of the phases are noted, and told when the attempt turns out
 * to fail or to be slow; any attempt after the first is traced.
 */
export class RolloutAttempt {
  private readonly trace: TraceOrigin | undefined;
  private readonly attributes: Record<string, number>;
  private readonly spans = new Map<string, ReturnType<typeof inOneSpan>>();
  private readonly phases: Phase[] = [];
  private span: Span | null = null;
  private within: Context | undefined;
  private isSlow = false;
  private sentMs: number | undefined;

  constructor(
    private readonly job: Job,
    private readonly delivery: Delivery,
    private readonly traces: Pick<RunTraces, 'kept'>,
    private readonly slowMs: number,
  ) {
    const { index, trace } = job;
    this.trace = delivery.attempt > 1 ? this.keptOrigin() : trace;
    this.attributes = { 'forge.rollout.index': index, 'forge.attempt': delivery.attempt };
  }

  /** Does the work of the attempt. */
  run(work: () => Promise<void>): Promise<void> {
    const { trace, attributes } = this;
    if (trace === undefined) return this.watch(work);
    const parent = this.recordQueue(trace);
    return inSpan(
      'attempt',
      { parent, startMs: this.delivery.startedAtMs, attributes },
      (span) => {
        this.span = span;
        this.within = within(span);
        return work();
      },
      this.sentAt,
    );
  }

  /** Does a part of the work. */
  phase<T>(name: string, work: (span: Span | null) => Promise<T>): Promise<T> {
    if (this.within === undefined) return this.note(name, () => work(null));
    const endMs = name === 'publish' ? this.sentAt : undefined;
    const inPhase = this.spans.get(name) ?? inOneSpan(name, this.within, endMs);
    this.spans.set(name, inPhase);
    return inPhase(work);
  }

  /** Has completions generated: a call with spans of its own. */
  generating<T>(work: () => Promise<T>): Promise<T> {
    return this.within === undefined ? this.note('generate', work) : inTrace(this.within, work);
  }

  /** The weights the job asks for are in use. */
  hasWeights(): void {
    this.span?.addEvent('has weights');
  }

  /** What travels on with the group, before it is published: of a slow one everything is kept from here on. */
  origin(): TraceOrigin | undefined {
    this.isSlow = Date.now() - this.delivery.startedAtMs >= this.slowMs;
    if (this.isSlow) this.span?.setAttribute(KEEP_REASON, 'slow');
    return this.isSlow ? this.keptOrigin() : this.trace;
  }

  /**
   * The group goes to the stream now; false: there was no room. The attempt and its `publish` end with that, not with the
   * answer: the rollout may be over before this process hears it.
   */
  sending(isSent = true): void {
    this.sentMs = isSent ? Date.now() : undefined;
  }

  private readonly sentAt = (): number | undefined => this.sentMs;

  /** Its trace from now on, whatever was decided at the admission. */
  private keptOrigin(): TraceOrigin | undefined {
    return this.traces.kept(this.job.index, this.job.trace, this.delivery.queuedAtMs);
  }

  /** The root of the rollout, for what comes after. */
  private recordQueue(trace: TraceOrigin): ReturnType<typeof traceOf> {
    const { queuedAtMs, startedAtMs } = this.delivery;
    const parent = traceOf(trace.traceparent);
    // The clock of whoever queued it is another machine's.
    const startMs = Math.min(Math.max(queuedAtMs, trace.admittedAtMs), startedAtMs);
    recordSpan('queue', { parent, startMs, attributes: this.attributes }, startedAtMs);
    return parent;
  }

  private async watch(work: () => Promise<void>): Promise<void> {
    try {
      await work();
      if (this.isSlow) this.tell({ [KEEP_REASON]: 'slow' });
    } catch (error) {
      this.tell({ [KEEP_REASON]: 'failed' }, error);
      throw error;
    }
  }

  private async note<T>(name: string, work: () => Promise<T>): Promise<T> {
    const last = this.phases.at(-1);
    const startMs = Date.now();
    const phase =
      last?.name === name && last.underWay > 0 ? last : { name, startMs, endMs: startMs, underWay: 0 };
    if (phase !== last) this.phases.push(phase);
    phase.underWay += 1;
    try {
      return await work();
    } catch (error) {
      phase.error = error;
      throw error;
    } finally {
      phase.underWay -= 1;
      phase.endMs = Date.now();
    }
  }

  private tell(kept: Record<string, string>, error?: unknown): void {
    const trace = this.keptOrigin();
    if (trace === undefined) return;
    const endMs = this.sentMs ?? Date.now();
    const parent = this.recordQueue(trace);
    const attributes = { ...this.attributes, ...kept };
    const attempt = { parent, startMs: this.delivery.startedAtMs, attributes, error };
    recordSpan('attempt', attempt, endMs, () => {
      for (const { name, startMs, endMs: ended, underWay, error: cause } of this.phases)
        recordSpan(name, { startMs, error: cause }, underWay > 0 ? endMs : Math.min(ended, endMs));
    });
  }
}
