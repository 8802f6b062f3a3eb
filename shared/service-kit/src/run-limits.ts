import type { QueueLimits, RunBounds } from '@forge/broker';
import type { Recipe } from '@forge/config';

/** Bounds of a run's state, as its recipe sets them. */
export function runBounds({ limits }: Pick<Recipe, 'limits'>): RunBounds {
  return {
    inFlight: limits.queuedGroups,
    held: limits.heldGroups,
    groups: limits.episodesStream,
    history: limits.historyGroups,
    deadLetters: limits.deadLetters,
    telemetry: limits.telemetryEvents,
  };
}

/** Limits of a run's jobs, as its recipe sets them. */
export function queueLimits({ limits }: Pick<Recipe, 'limits'>): QueueLimits {
  return { attempts: limits.jobAttempts, keptCompleted: limits.completedJobs };
}
