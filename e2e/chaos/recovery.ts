import { setTimeout as sleep } from 'node:timers/promises';
import { isRunning, waitFor } from '@forge/testing';
import type { Blow, Kind } from './chaos-plan';
import type { ForgeRun, Part } from './forge-run';

/** Recovery of a run from a blow. */
export interface Recovery {
  blow: Blow;
  /** e.g. `policy/1`. */
  victims: string[];
  /** Version when the blow fell. */
  version: number;
  /** Time until the victims were ready again, ms since the kill, or since the hang was over. */
  backMs: number;
  /** Time until, besides, every group in flight at the blow had got on and a step was committed: full recovery. */
  recoveredMs: number;
}

const HANG_MS = 3_000;
/** Time before its end whose changes a Redis loses when it forgets. */
const FORGOTTEN_MS = 250;
/** A replica whose heartbeats are missed for so long counts as dead. */
const TAKEN_FOR_DEAD_MS = 2_100;
const RECOVERS_WITHIN_MS = 60_000;
/** Services with one replica: while it hangs, another one is started in its place, and then both meet. */
const SINGLETONS: readonly Kind[] = ['coordinator', 'trainer', 'replay-buffer'];

/**
 * Deals a blow and waits until the run has got over it.
 *
 * @throws {Error} naming what is missing when it has not within that time, a minute by default, or the run has ended.
 */
export async function strike(run: ForgeRun, blow: Blow, withinMs = RECOVERS_WITHIN_MS): Promise<Recovery> {
  const { action, victims: kinds, pick } = blow;
  const { runState } = run;
  const victims = await Promise.all(kinds.map((kind) => victimOf(run, kind, pick)));
  const [version, inFlight] = await Promise.all([runState.version(), runState.pendingGroups()]);
  const struckAt = performance.now();
  let since = struckAt;
  if (action === 'forget') await run.stopWriting(FORGOTTEN_MS);
  if (action === 'hang') await hang(run, victims);
  else for (const { pid } of victims) process.kill(pid, 'SIGKILL');
  if (action !== 'kill') since = performance.now();

  const names = victims.map(({ kind, replica }) => (replica === '' ? kind : `${kind}/${replica}`));
  const until = (what: string, condition: () => Promise<boolean>): Promise<boolean> => {
    const which = `recovery from the ${action} of ${names.join(' and ')} at version ${version}: ${what}`;
    const orEnded = (): Promise<boolean> => {
      if (run.hasExited) throw new Error(`${which}: the run has ended`);
      return condition();
    };
    return waitFor(which, orEnded, withinMs);
  };
  const isBack = async ({ kind, replica, pid }: Part): Promise<boolean> =>
    (await run.parts(kind)).some(
      (now) => now.replica === replica && now.isReady && (action === 'hang' || now.pid !== pid),
    );
  await until('ready again', async () => (await Promise.all(victims.map(isBack))).every(Boolean));
  const backMs = performance.now() - since;
  const held = new Set(inFlight.map(({ index }) => index));
  await until(
    'what was in flight',
    async () => !(await runState.pendingGroups()).some(({ index }) => held.has(index)),
  );
  const before = await runState.version();
  await until('a step', async () => (await runState.version()) > before);
  const recoveredMs = performance.now() - since;
  run.endStandIns();
  return { blow, victims: names, version, backMs, recoveredMs };
}

function victimOf(run: ForgeRun, kind: Kind, pick: number): Promise<Part> {
  return waitFor(`a ${kind} to strike`, async () => {
    const alive = (await run.parts(kind)).filter(({ isReady, pid }) => isReady && isRunning(pid));
    return alive[Math.floor(pick * alive.length)];
  });
}

/** Stops processes for longer than their heartbeat lasts; others take their place, and then they are back. */
async function hang(run: ForgeRun, victims: readonly Part[]): Promise<void> {
  for (const { pid } of victims) process.kill(pid, 'SIGSTOP');
  await sleep(TAKEN_FOR_DEAD_MS);
  for (const victim of victims) if (SINGLETONS.includes(victim.kind)) run.standIn(victim);
  await sleep(HANG_MS - TAKEN_FOR_DEAD_MS);
  for (const { pid } of victims) process.kill(pid, 'SIGCONT');
}
