import { endRollout, recordSpan, traceOf } from '@forge/telemetry';
import type { Candidate } from '../domain/candidate';

/** The time of a group in the buffer, from its arrival to the batch for version `step`, or to its end there. */
export function recordBuffer(candidate: Candidate, left: string, step: number): void {
  const { trace, version, informative, sums } = candidate;
  if (trace === undefined) return;
  const attributes = {
    'forge.buffer.left': left,
    'forge.step': step + 1,
    'forge.lag': step - version,
    'forge.informative': informative,
    'forge.reward.mean': sums.reward / sums.rollouts,
  };
  recordSpan(
    'buffer',
    { parent: traceOf(trace.traceparent), startMs: trace.cameAtMs, attributes },
    Date.now(),
  );
}

/** A group that is not trained: the rollout ends here. */
export function recordEnd(
  candidate: Candidate,
  end: 'stale' | 'not-selected' | 'invalid' | 'uninformative' | 'truncated',
  step: number,
): void {
  recordBuffer(candidate, end, step);
  const attributes = {
    'forge.rollout.index': candidate.index,
    'forge.rollout.end': end,
    'forge.step': step + 1,
  };
  endRollout(candidate.trace, attributes);
}
