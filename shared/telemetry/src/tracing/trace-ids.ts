import { hash, randomBytes } from 'node:crypto';

/** Names a trace: the trace itself, and its root span. */
export interface TraceIds {
  traceId: string;
  /** Id of the root span. */
  spanId: string;
}

/**
 * The trace of a rollout or of an optimizer step. It follows from the names alone: a process that works on the same
 * rollout again, after the death of another say, adds to the same trace.
 */
export function traceIds(runId: string, kind: 'rollout' | 'step', index: number): TraceIds {
  const ids = hash('sha256', `forge/${runId}/${kind}/${index}`, 'hex');
  return { traceId: ids.slice(0, 32), spanId: ids.slice(32, 48) };
}

/** Whether a share of all traces has this one in it: a larger share has all those of a smaller one. */
export function isWithinRatio(traceId: string, ratio: number): boolean {
  return Number.parseInt(traceId.slice(0, 8), 16) < ratio * 2 ** 32;
}

/** Fate of the spans of a trace: sent to a collector where there is one, or kept with the run as well. */
export type Fate = 'exported' | 'kept';

const FLAGS: Readonly<Record<Fate, string>> = { exported: '01', kept: '03' };

/** Trace context of what happens under the root of a trace, as W3C writes it; the flag for `kept` is ours. */
export function traceparentOf({ traceId, spanId }: TraceIds, fate: Fate): string {
  return `00-${traceId}-${spanId}-${FLAGS[fate]}`;
}

const POOL_BYTES = 4096;
let pool = '';
let at = 0;

/** A random id of so many bytes, drawn in one call for many. */
export function randomId(bytes: 8 | 16): string {
  if (at + 2 * bytes > pool.length) [pool, at] = [randomBytes(POOL_BYTES).toString('hex'), 0];
  return pool.slice(at, (at += 2 * bytes));
}
