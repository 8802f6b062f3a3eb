import type { TraceOrigin } from '@forge/contracts';
import { isWithinRatio, traceIds, traceparentOf } from './trace-ids';

/** Shares of the rollouts of a run. */
export interface TraceRatios {
  /** Share whose spans are kept with the run. */
  kept: number;
  /** Share whose spans are sent to a collector. */
  exported: number;
}

/** Begins the traces of a run; the fate of each is decided here and travels with it. */
export class RunTraces {
  constructor(
    private readonly runId: string,
    private readonly ratios: TraceRatios,
  ) {}

  /** Whether anything is traced. */
  get isOn(): boolean {
    return this.ratios.kept > 0 || this.ratios.exported > 0;
  }

  /** Origin of the trace of a rollout; `isKept` overrules the ratio. Undefined when it is not traced. */
  rollout(index: number, admittedAtMs: number, isKept: boolean): TraceOrigin | undefined {
    if (!this.isOn) return undefined;
    const { kept, exported } = this.ratios;
    const ids = traceIds(this.runId, 'rollout', index);
    if (kept > 0 && (isKept || isWithinRatio(ids.traceId, kept)))
      return { traceparent: traceparentOf(ids, 'kept'), admittedAtMs };
    if (!isWithinRatio(ids.traceId, exported)) return undefined;
    return { traceparent: traceparentOf(ids, 'exported'), admittedAtMs };
  }

  /**
   * The same rollout, worth keeping whatever the ratio: from here on its spans are kept. One that was not traced so far
   * begins at `sinceMs`. Undefined when nothing is traced.
   */
  kept(index: number, origin: TraceOrigin | undefined, sinceMs: number): TraceOrigin | undefined {
    return this.rollout(index, origin?.admittedAtMs ?? sinceMs, true);
  }

  /** The root of an optimizer step's trace. There are few: all are traced, if anything is. */
  step(step: number): string | undefined {
    if (!this.isOn) return undefined;
    const fate = this.ratios.kept > 0 ? 'kept' : 'exported';
    return traceparentOf(traceIds(this.runId, 'step', step), fate);
  }
}
