import { readdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { storedRecipe } from '@forge/config';
import { runPaths } from '@forge/contracts';
import { ForgeError } from '@forge/errors';
import type { ModelConfig } from '@forge/model';
import { checkModel, checkRun, Checkpoints, readCheckpoint, type Checkpoint } from '@forge/rl-actors';
import { cutRunFiles } from '../run-files/cut-run-files';
import type { ResumedStart, StoppedRun } from './continue-state';

/**
 * Goes on from a checkpoint, the newest good one or that of step `from`, with a new state. `why` there is no other way is
 * said.
 *
 * @throws {ForgeError} CONFLICT_STATE when there is no good one, or none of that step; CONTRACT_WEIGHTS_CORRUPT when the
 *   one of that step is damaged.
 */
export async function restartFromCheckpoint(
  { id, directory, runState, say }: StoppedRun,
  model: ModelConfig,
  why: string,
  from: number | undefined,
): Promise<ResumedStart> {
  const checkpoints = new Checkpoints(directory);
  const accept = (checkpoint: Checkpoint, path: string): void => {
    checkRun(checkpoint, id, path);
    checkModel(path, checkpoint.model, model);
  };
  const { step, epoch, run } =
    from === undefined
      ? await newest(checkpoints, accept, id, why, say)
      : await named(checkpoints, accept, id, from);
  const { nextIndex, trained, metrics } = run!;
  return {
    version: step,
    go: async (recipe, settings) => {
      const { weights } = runPaths(directory);
      const epochs = [epoch, await runState.resumption.epoch(), ...epochsIn(weights)];
      // The old state goes first: whoever is stopped here starts from a checkpoint again.
      await runState.remove();
      const abandoned = await checkpoints.abandonAfter(step);
      // What follows would be taken for older than the versions of a future that does not come.
      rmSync(weights, { recursive: true, force: true });
      const missing = cutRunFiles(directory, { step, nextIndex, metrics });
      say(`${why}: going on from the checkpoint of step ${step}`);
      for (const one of abandoned)
        say(`checkpoint step-${one} is of a future that does not come: kept as step-${one}.abandoned`);
      if (missing.length > 0)
        say(`metrics of step ${missing.join(', ')} are lost: they had not been written`);
      return runState.resumption.restore(storedRecipe(recipe), settings, {
        version: step,
        epoch: Math.max(...epochs),
        nextIndex,
        trained,
      });
    },
  };
}

type Accept = (checkpoint: Checkpoint, path: string) => void;

async function newest(
  checkpoints: Checkpoints,
  accept: Accept,
  id: string,
  why: string,
  say: (message: string) => void,
): Promise<Checkpoint> {
  const { checkpoint, passedOver } = await checkpoints.newestGood(accept);
  if (checkpoint === null) {
    const reasons = passedOver.map(({ step, reason }) => `step-${step}: ${reason}`);
    const message = `run ${id} can't be resumed: ${why}, and there is no good checkpoint (${reasons.join('; ') || 'none was written'}); start a new run`;
    throw new ForgeError('CONFLICT_STATE', message, { id, passedOver });
  }
  for (const { step, reason } of passedOver) say(`checkpoint step-${step} is passed over: ${reason}`);
  return checkpoint;
}

async function named(
  checkpoints: Checkpoints,
  accept: Accept,
  id: string,
  step: number,
): Promise<Checkpoint> {
  const steps = await checkpoints.steps();
  if (!steps.includes(step)) {
    const there = steps.length === 0 ? 'there is none' : `there are those of step ${steps.join(', ')}`;
    throw new ForgeError('CONFLICT_STATE', `run ${id} has no checkpoint of step ${step}; ${there}`, { id, step, steps }); // prettier-ignore
  }
  const checkpoint = await readCheckpoint(checkpoints.path(step));
  accept(checkpoint, checkpoints.path(step));
  return checkpoint;
}

/** Of the trainers whose versions lie there. */
function epochsIn(weights: string): number[] {
  try {
    return readdirSync(weights).flatMap((name) => /^v\d+-e(\d+)\./.exec(name)?.slice(1).map(Number) ?? []);
  } catch {
    return [];
  }
}
