import type { Batch } from '@forge/contracts';
import {
  endRollout,
  inRootSpan,
  inSpan,
  linkTo,
  logIds,
  recordSpan,
  traceOf,
  within,
  type RunTraces,
  type Span,
  type SpanOptions,
} from '@forge/telemetry';

/**
 * The trace of an optimizer step, named as everywhere by the version it makes; it links to the rollouts of its batch,
 * and they link to it.
 */
export class StepTrace {
  private constructor(
    private readonly batch: Batch,
    /** Root of the trace; undefined when nothing is traced. */
    readonly traceparent: string | undefined,
    private readonly span: Span | null,
  ) {}

  /** Does a step within its trace. */
  static begin(
    traces: Pick<RunTraces, 'step'>,
    batch: Batch,
    work: (trace: StepTrace) => Promise<void>,
  ): Promise<void> {
    const { groups } = batch;
    const step = batch.version + 1;
    const attributes = { 'forge.step': step, 'forge.groups': groups.length };
    const links = groups.flatMap(({ index, trace }) =>
      trace === undefined ? [] : [linkTo(trace.traceparent, { 'forge.rollout.index': index })],
    );
    const traceparent = traces.step(step);
    return inRootSpan('step', traceparent, { attributes, links }, (span) =>
      work(new StepTrace(batch, traceparent, span)),
    );
  }

  /** Does a part of the step. */
  part<T>(name: string, work: () => Promise<T>, options: Pick<SpanOptions, 'kind'> = {}): Promise<T> {
    return inSpan(name, { ...options, parent: within(this.span) }, work);
  }

  /** Fields of a log entry. */
  get ids(): object {
    return logIds(this.span);
  }

  /** The step made that version: the rollouts of its batch end here. */
  committed(version: number, rolledBackTo: number | undefined): void {
    const isTrained = rolledBackTo === undefined;
    this.span?.setAttribute('forge.policy.version', version);
    if (!isTrained) this.span?.setAttribute('forge.rollback.to', rolledBackTo);
    for (const { index, trace } of this.batch.groups) {
      if (trace === undefined || this.traceparent === undefined) continue;
      const attributes = { 'forge.step': this.batch.version + 1 };
      if (isTrained) {
        const [startMs, links] = [Date.now(), [linkTo(this.traceparent, attributes)]];
        const parent = traceOf(trace.traceparent);
        recordSpan('trained', { parent, startMs, attributes, links }, startMs);
      }
      const end = isTrained ? 'trained' : 'rolled-back';
      endRollout(trace, { 'forge.rollout.index': index, 'forge.rollout.end': end, ...attributes });
    }
  }
}
