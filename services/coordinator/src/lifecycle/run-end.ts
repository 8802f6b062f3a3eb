import type { Ledger, RunPhase } from '@forge/broker';
import { isDoubtful, type Evaluation } from '../evaluations';

export interface RunGoals {
  steps: number;
  stopAtAccuracy: number | null;
  candidatesPerBatch: number;
}

/** Why a running run moves on, and to which phase. */
export interface RunEnd {
  phase: Extract<RunPhase, 'stopping' | 'failed'>;
  message: string;
}

/** Whether a run has reached what it was started for, or has no hope to; null while it goes on. */
export function runEnd(
  goals: RunGoals,
  progress: { version: number; evaluations: readonly Evaluation[]; ledger: Ledger },
): RunEnd | null {
  const { version, evaluations, ledger } = progress;
  if (version >= goals.steps) return { phase: 'stopping', message: `all ${goals.steps} steps are done` };
  const newest = evaluations.at(-1);
  if (newest?.isVoid) {
    return {
      phase: 'failed',
      message: `not one held-out sample of version ${newest.version} could be evaluated; forge dead-letter list says why`,
    };
  }
  const accuracy = newest === undefined || isDoubtful(newest) ? -1 : newest.accuracy;
  if (goals.stopAtAccuracy !== null && accuracy >= goals.stopAtAccuracy) {
    return { phase: 'stopping', message: `held-out accuracy ${accuracy.toFixed(3)} reached` };
  }
  return hopeless(ledger, goals.candidatesPerBatch);
}

/**
 * A single failed group is made up for by another one; when most groups fail (a reward that always throws, say),
 * the run would go round in circles.
 */
function hopeless(ledger: Ledger, candidatesPerBatch: number): RunEnd | null {
  const { failed = 0, invalid = 0, truncated = 0, ...rest } = ledger.discarded;
  const { 'not-selected': notSelected = 0, uninformative = 0 } = rest;
  const lost = failed + invalid + truncated;
  const useful = ledger.trained + ledger.leased + ledger.buffered + notSelected + uninformative;
  if (lost < candidatesPerBatch || lost <= useful) return null;
  const total = lost + useful;
  if (truncated > failed + invalid) {
    const message = `${truncated} of ${total} groups had no rollout that was not cut off, and rollout.truncated drops these; give rollouts more turns, tokens or time`;
    return { phase: 'failed', message };
  }
  return {
    phase: 'failed',
    message: `${lost} of ${total} groups failed or were invalid; forge dead-letter list says why`,
  };
}
