import { setTimeout as sleep } from 'node:timers/promises';
import { parseResolvedRecipe, type Recipe } from '@forge/config';
import type { RunState } from '@forge/broker';
import { ForgeError } from '@forge/errors';

const LOOK_EVERY_MS = 1000;
/** Looks between two messages. */
const SAID_EVERY = 30;

/** The recipe of the run, once the run is there; `onWait` is told every half a minute that it is not. */
export async function waitForRun(
  runState: Pick<RunState, 'config' | 'runId'>,
  onWait: (message: string) => void,
): Promise<Recipe> {
  for (let looks = 0; ; looks++) {
    try {
      return parseResolvedRecipe(await runState.config());
    } catch (error) {
      if (!(error instanceof ForgeError) || error.code !== 'CONFLICT_STATE') throw error;
    }
    if (looks % SAID_EVERY === 0)
      onWait(`waiting for run ${runState.runId}, which is not in this Redis yet; forge create makes it`);
    await sleep(LOOK_EVERY_MS);
  }
}
