import { createHash } from 'node:crypto';
import type { TraceOrigin } from '@forge/contracts';

/** Names a trace: the trace itself, and its root span. */
export interface TraceIds {
  traceId: string;
  /** Of the root span. */
  spanId: string;
}

/**
 * The trace of a rollout or of an optimizer step. It follows from the names alone: whoever works on the same rollout
 * again, after the death of another process say, adds to the same trace.
 */
export function traceIds(runId: string, kind: 'rollout' | 'step', index: number): TraceIds {
  const hash = createHash('sha256').update(`forge/${runId}/${kind}/${index}`).digest('hex');
  return { traceId: hash.slice(0, 32), spanId: hash.slice(32, 48) };
}

/** Whether a share of all traces has this one in it: a larger share has all those of a smaller one. */
export function isWithinRatio(traceId: string, ratio: number): boolean {
  return Number.parseInt(traceId.slice(0, 8), 16) < ratio * 2 ** 32;
}

/** W3C trace context of what happens under the root of a trace. */
export function traceparentOf({ traceId, spanId }: TraceIds, isSampled: boolean): string {
  return `00-${traceId}-${spanId}-${isSampled ? '01' : '00'}`;
}

/** Whether its spans are kept from the start. */
export function isSampled({ traceparent }: Pick<TraceOrigin, 'traceparent'>): boolean {
  return traceparent.endsWith('1');
}

/** The same rollout, worth keeping whatever the ratio: the spans from here on are sampled. */
export function sampledOrigin(origin: TraceOrigin): TraceOrigin {
  return { ...origin, traceparent: origin.traceparent.replace(/0$/, '1') };
}
