import type { TraceOrigin } from '@forge/contracts';
import { isWithinRatio, traceIds, traceparentOf } from './trace-ids';

/** Begins the traces of a run; how many, is decided here and travels with each. */
export class RunTraces {
  /** `sampleRatio` 0: nothing is traced. */
  constructor(
    private readonly runId: string,
    private readonly sampleRatio: number,
  ) {}

  /** Where the trace of a rollout begins; `isKept` whatever the ratio says. */
  rollout(index: number, admittedAtMs: number, isKept: boolean): TraceOrigin | undefined {
    if (this.sampleRatio === 0) return undefined;
    const ids = traceIds(this.runId, 'rollout', index);
    const isSampled = isKept || isWithinRatio(ids.traceId, this.sampleRatio);
    return { traceparent: traceparentOf(ids, isSampled), admittedAtMs };
  }

  /** The root of an optimizer step's trace. There are few: all are sampled. */
  step(step: number): string | undefined {
    return this.sampleRatio === 0 ? undefined : traceparentOf(traceIds(this.runId, 'step', step), true);
  }
}
