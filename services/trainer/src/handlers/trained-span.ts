import type { TraceOrigin } from '@forge/contracts';
import { endRollout, isSampled, linkTo, recordSpan, traceOf } from '@forge/telemetry';

/** The end of a rollout that was trained: a span without length that links to the step, and the rollout's root. */
export function recordTrained(
  index: number,
  trace: TraceOrigin | undefined,
  step: number,
  stepTraceparent: string | undefined,
): void {
  if (trace === undefined || stepTraceparent === undefined || !isSampled(trace)) return;
  const now = Date.now();
  const links = [linkTo(stepTraceparent)];
  const attributes = { 'forge.step': step };
  recordSpan('trained', { parent: traceOf(trace.traceparent), startMs: now, attributes, links }, now);
  endRollout(trace, { 'forge.rollout.index': index, 'forge.rollout.end': 'trained', ...attributes });
}
