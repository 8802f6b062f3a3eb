import { setTimeout as sleep } from 'node:timers/promises';
import { Registry, type RunControls } from '@forge/broker';
import { parseRunChanges } from '@forge/config';
import { ForgeError } from '@forge/errors';
import { findRunRecord, isAlive, withRun } from '@forge/runs';

const POLL_MS = 100;

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

/** `forge scale RUN policy=3 ...`: starts or drains replicas; returns once there are as many as wanted. */
export async function scaleRun(
  id: string,
  assignments: readonly string[],
  { dir }: ControlOptions,
): Promise<number> {
  const counts = Object.fromEntries(assignments.map(countOf));
  return withControls(id, dir, async (controls, registry) => {
    await controls.scale(counts);
    for (const [service, count] of Object.entries(counts)) {
      const wanted = Array.from({ length: count }, (_, replica) => String(replica)).sort();
      await until(controls, `${count} ${service}`, async () => {
        const live = await registry.list(service);
        return (
          live.every(({ isReady }) => isReady) && isSame(live.map(({ replica }) => replica).sort(), wanted)
        );
      });
    }
    return assignments.join(' ');
  });
}

/** `forge restart RUN SERVICE[/REPLICA]`: starts processes anew, one after the other; returns once all have been. */
export function restartRun(id: string, target: string, { dir }: ControlOptions): Promise<number> {
  return withControls(id, dir, async (controls) => {
    const { request, names } = await controls.restart(target);
    await until(controls, `the restart of ${target}`, async () => {
      const { restarts } = await controls.wanted();
      const outcomes = names.map((name) => {
        const asked = restarts.get(name);
        return asked?.request === request ? asked.outcome : 'another restart was asked for since';
      });
      const problem = outcomes.find((outcome) => outcome !== null && outcome !== '');
      if (problem !== undefined) throw new ForgeError('CONFLICT_STATE', `${target}: ${problem}`, { target });
      return outcomes.every((outcome) => outcome === '');
    });
    return `${names.join(', ')} started anew`;
  });
}

function countOf(assignment: string): [service: string, count: number] {
  const [, service, count] = /^([a-z-]+)=(\d+)$/.exec(assignment) ?? [];
  if (service !== undefined && count !== undefined) return [service, Number(count)];
  const message = `${assignment}: expected service=number, e.g. policy=3`;
  throw new ForgeError('CONFIG_INVALID', message, { assignment });
}

const isSame = (a: readonly string[], b: readonly string[]): boolean =>
  a.length === b.length && a.every((name, i) => name === b[i]);

/** Waits for as long as the run goes on. */
async function until(controls: RunControls, what: string, condition: () => Promise<boolean>): Promise<void> {
  while (!(await condition())) {
    if (!(await controls.goesOn())) {
      throw new ForgeError('CONFLICT_STATE', `the run ended before ${what} was there`, { what });
    }
    await sleep(POLL_MS);
  }
}

async function withControls(
  id: string,
  dir: string,
  work: (controls: RunControls, registry: Registry) => Promise<string>,
): Promise<number> {
  const record = findRunRecord(dir, id, isAlive);
  if (record.state !== 'running') {
    const message = `run ${id} is over (${record.state}); only a running one can be changed`;
    throw new ForgeError('CONFLICT_STATE', message, { id, state: record.state });
  }
  const said = await withRun(record, ({ runState, redis }) =>
    work(runState.controls, new Registry(redis, id)),
  );
  process.stdout.write(`${said}\n`);
  return 0;
}
