import type { Delivery } from '@forge/broker';
import type { RolloutJob, TraceOrigin } from '@forge/contracts';
import {
  inTrace,
  KEEP_REASON,
  recordSpan,
  spanToBe,
  traceOf,
  type Context,
  type RunTraces,
} from '@forge/telemetry';

type Job = Pick<Extract<RolloutJob, { kind: 'rollout' }>, 'index' | 'trace'>;

/** A part of an attempt; works that overlap are one. Times in milliseconds since the epoch. */
class Phase {
  readonly startMs = Date.now();
  endMs = this.startMs;
  underWay = 0;
  attributes?: Record<string, string>;
  error?: unknown;

  constructor(
    readonly name: string,
    /** Context of its span; undefined where nothing is traced so far. */
    readonly within: Context | undefined,
  ) {}

  /** Watches a promise, and costs no more than that: there are many, and most are never told of. */
  during<T>(work: () => Promise<T>): Promise<T> {
    this.underWay += 1;
    const result = inTrace(this.within, work);
    result.then(this.done, this.failed);
    return result;
  }

  private readonly done = (): void => {
    this.underWay -= 1;
    this.endMs = Date.now();
  };

  private readonly failed = (error: unknown): void => {
    this.done();
    this.error = error;
  };
}

/**
 * One attempt at a job in the trace of its rollout: `queue` from the time the job was queued to its pick-up,
 * told at once, so that something is known of an attempt whose process dies; `attempt`, within which the work is done; and
 * its phases. Phases are noted, and told when the attempt is over: a rollout that is not traced tells them only when it
 * turns out to fail or to be slow; any attempt after the first is traced.
 */
export class RolloutAttempt {
  private readonly trace: TraceOrigin | undefined;
  private readonly attributes: Record<string, number>;
  private readonly phases: Phase[] = [];
  /** Context of its span. */
  private within: Context | undefined;
  private hasWeightsMs: number | undefined;
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
  async run(work: () => Promise<void>): Promise<void> {
    const parent = this.trace && this.recordQueue(this.trace);
    this.within = parent && spanToBe(parent);
    try {
      await work();
      if (this.isSlow) this.tell(parent, 'slow');
      else if (parent !== undefined) this.tell(parent);
    } catch (error) {
      this.tell(parent, 'failed', error);
      throw error;
    }
  }

  /** Does a part of the work; works that overlap are one part. */
  phase<T>(name: string, work: () => Promise<T>): Promise<T> {
    const last = this.phases.at(-1);
    if (last?.name === name && last.underWay > 0) return last.during(work);
    const phase = new Phase(name, this.within && spanToBe(this.within));
    this.phases.push(phase);
    return phase.during(work);
  }

  /** Has completions generated: a call with a span of its own, where there is a trace. */
  generating<T>(work: () => Promise<T>): Promise<T> {
    return this.within === undefined ? this.phase('generate', work) : inTrace(this.within, work);
  }

  /** Notes that the weights the job asks for are in use. */
  hasWeights(): void {
    this.hasWeightsMs = Date.now();
  }

  /** The trace that travels on with the group, before it is published: a slow group's is kept whole from here on. */
  origin(): TraceOrigin | undefined {
    this.isSlow = Date.now() - this.delivery.startedAtMs >= this.slowMs;
    return this.isSlow ? this.keptOrigin() : this.trace;
  }

  /**
   * Notes that the group goes to the stream now; false: there was no room. The attempt and its `publish` end now, not
   * with the answer: the rollout may be over before this process hears it.
   */
  sending(isSent = true): void {
    this.sentMs = isSent ? Date.now() : undefined;
  }

  /** Notes the stream's answer to the group. */
  published(result: string): void {
    this.phases.at(-1)!.attributes = { 'forge.publish.result': result };
  }

  /** The attempt's trace, kept from now on whatever was decided at the admission. */
  private keptOrigin(): TraceOrigin | undefined {
    return this.traces.kept(this.job.index, this.job.trace, this.delivery.queuedAtMs);
  }

  /** The root of the rollout, for what comes after. */
  private recordQueue(trace: TraceOrigin): Context | undefined {
    const { queuedAtMs, startedAtMs } = this.delivery;
    const parent = traceOf(trace.traceparent);
    // The job was queued by the clock of another machine.
    const startMs = Math.min(Math.max(queuedAtMs, trace.admittedAtMs), startedAtMs);
    recordSpan('queue', { parent, startMs, attributes: this.attributes }, startedAtMs);
    return parent;
  }

  /** `parent`: the root of the rollout; undefined when it was not traced so far. */
  private tell(parent: Context | undefined, reason?: 'slow' | 'failed', error?: unknown): void {
    const root = parent ?? this.lateRoot();
    if (root === undefined) return;
    const within = this.within ?? spanToBe(root);
    const endMs = this.sentMs ?? Date.now();
    for (const { name, within: as, startMs, endMs: ended, underWay, attributes, error: cause } of this.phases)
      recordSpan(
        name,
        { parent: within, as, startMs, ...(attributes && { attributes }), error: cause },
        underWay > 0 ? endMs : Math.min(ended, endMs),
      );
    const attributes = { ...this.attributes, ...(reason && { [KEEP_REASON]: reason }) };
    const events = this.hasWeightsMs === undefined ? [] : [{ name: 'has weights', atMs: this.hasWeightsMs }];
    const { startedAtMs: startMs } = this.delivery;
    recordSpan('attempt', { parent: root, as: within, startMs, attributes, events, error }, endMs);
  }

  private lateRoot(): Context | undefined {
    const trace = this.keptOrigin();
    return trace && this.recordQueue(trace);
  }
}
