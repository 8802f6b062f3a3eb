import type { Recipe } from '@forge/config';
import { ForgeError } from '@forge/errors';
import { join } from 'node:path';
import { readSummary, type RunRecord } from '@forge/runs';

/**
 * Checks that a run which goes on at `version` has something left to do.
 *
 * @throws {ForgeError} CONFLICT_STATE when it has finished and its goals are as they were; CONFIG_INVALID for fewer
 *   steps than are done.
 */
export function checkGoals(
  { id, state }: Pick<RunRecord, 'id' | 'state'>,
  { steps, stopAtAccuracy, output }: Pick<Recipe, 'steps' | 'stopAtAccuracy' | 'output'>,
  version: number,
  countsAccuracy: boolean,
): void {
  if (version > steps)
    throw new ForgeError(
      'CONFIG_INVALID',
      `steps: found ${steps}, but run ${id} is at step ${version}; ask for more, or go back with --from`,
      { steps, version },
    );
  if (state !== 'finished') return;
  if (version === steps)
    throw new ForgeError(
      'CONFLICT_STATE',
      `run ${id} has finished: all ${steps} steps are done; more are trained by forge resume ${id} steps=${2 * steps}`,
      { id, steps },
    );
  const accuracy = readSummary(join(output.dir, id))?.finalAccuracy;
  if (!countsAccuracy || stopAtAccuracy === undefined || typeof accuracy !== 'number') return;
  if (accuracy >= stopAtAccuracy)
    throw new ForgeError(
      'CONFLICT_STATE',
      `run ${id} has finished: held-out accuracy ${accuracy.toFixed(3)} is reached; raise stopAtAccuracy, or take it out by forge resume ${id} stopAtAccuracy=null`,
      { id, accuracy, stopAtAccuracy },
    );
}
