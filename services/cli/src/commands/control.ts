import type { RunControls } from '@forge/broker';
import { parseRunChanges } from '@forge/config';
import { ForgeError } from '@forge/errors';
import { withRun } from '../run-access';
import { findRunRecord } from '../run-directory';
import { isAlive } from './runs';

export interface ControlOptions {
  dir: string;
}

/** `forge set RUN key=value ...`: changes settings of a running run. */
export async function setRun(
  id: string,
  assignments: readonly string[],
  { dir }: ControlOptions,
): Promise<number> {
  const changes = parseRunChanges(assignments);
  return withControls(id, dir, async (controls) => {
    await controls.set(changes);
    return `set ${assignments.join(' ')}`;
  });
}

/** `forge pause RUN`: admits no more groups. */
export function pauseRun(id: string, { dir }: ControlOptions): Promise<number> {
  return withControls(id, dir, async (controls) => {
    await controls.pause();
    return 'nothing more is admitted; what is in flight is finished. Go on with forge unpause';
  });
}

/** `forge unpause RUN` */
export function unpauseRun(id: string, { dir }: ControlOptions): Promise<number> {
  return withControls(id, dir, async (controls) => {
    await controls.unpause();
    return 'groups are admitted again';
  });
}

async function withControls(
  id: string,
  dir: string,
  work: (controls: RunControls) => Promise<string>,
): Promise<number> {
  const record = findRunRecord(dir, id, isAlive);
  if (record.state !== 'running') {
    const message = `run ${id} is over (${record.state}); only a running one can be changed`;
    throw new ForgeError('CONFLICT_STATE', message, { id, state: record.state });
  }
  const said = await withRun(record, ({ runState }) => work(runState.controls));
  process.stdout.write(`${said}\n`);
  return 0;
}
