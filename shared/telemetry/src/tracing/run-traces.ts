import type { TraceOrigin } from '@forge/contracts';
import { isWithinRatio, traceIds, traceparentOf, type Fate } from './trace-ids';

/** Shares of the rollouts of a run. */
export interface TraceRatios {
  /** Whose spans are kept with the run. */
  kept: number;
  /** Whose spans are sent to a collector. */
  exported: number;
}

/** Begins the traces of a run; what becomes of each is decided here and travels with it. */
export class RunTraces {
  constructor(
    private readonly runId: string,
    private readonly ratios: TraceRatios,
  ) {}

  /** Where the trace of a rollout begins; `isKept` whatever the ratio says. Undefined when nothing is traced. */
  rollout(index: number, admittedAtMs: number, isKept: boolean): TraceOrigin | undefined {
    const { kept, exported } = this.ratios;
    if (kept === 0 && exported === 0) return undefined;
    const ids = traceIds(this.runId, 'rollout', index);
    const fate = (): Fate => {
      if (kept > 0 && (isKept || isWithinRatio(ids.traceId, kept))) return 'kept';
      return isWithinRatio(ids.traceId, exported) ? 'exported' : 'none';
    };
    return { traceparent: traceparentOf(ids, fate()), admittedAtMs };
  }

  /** The root of an optimizer step's trace. There are few: all are traced, if anything is. */
  step(step: number): string | undefined {
    const { kept, exported } = this.ratios;
    if (kept === 0 && exported === 0) return undefined;
    return traceparentOf(traceIds(this.runId, 'step', step), kept > 0 ? 'kept' : 'exported');
  }
}
