import { setTimeout as sleep } from 'node:timers/promises';
import { Registry, verifyLedger, type Redis, type RunSettings, type RunState } from '@forge/broker';
import { storedRecipe, type Recipe } from '@forge/config';
import { SERVICES } from '@forge/contracts';
import { ForgeError } from '@forge/errors';
import { findResumePoint } from '@forge/rl-actors';
import { cutRunFiles } from '../run-files/cut-run-files';

/** A run that is to go on. */
export interface StoppedRun {
  id: string;
  directory: string;
  runState: RunState;
  redis: Redis;
  /** How long what is left of it may take to end. */
  withinMs: number;
  say: (message: string) => void;
}

/** Where a run goes on. */
export interface ResumedStart {
  version: number;
  /** Goes on there; returns the id of the telemetry event that says so. */
  go: (recipe: Recipe, settings: RunSettings) => Promise<string>;
}

const POLL_MS = 100;

/**
 * Goes on with the state that is in Redis: ledger, buffer, leases and groups in flight. In words, why that can't be:
 * it is missing, or it contradicts itself.
 *
 * @throws {ForgeError} CONFLICT_STATE when services of the run are still at work; CONTRACT_WEIGHTS_CORRUPT when its
 *   weights can't be read, naming the way out.
 */
export async function continueState({
  id,
  directory,
  runState,
  redis,
  withinMs,
  say,
}: StoppedRun): Promise<ResumedStart | string> {
  try {
    await runState.config();
  } catch (error) {
    if (error instanceof ForgeError && error.code === 'CONFLICT_STATE') return 'its state in Redis is gone';
    throw error;
  }
  await whenNobodyBeats(redis, id, withinMs);
  const [problem] = verifyLedger(await runState.ledgerSnapshot());
  if (problem !== undefined) return `its state in Redis is damaged (${problem})`;
  const version = await runState.version();
  const latest = await runState.weights.latest();
  const { note } = await findResumePoint({
    runId: id,
    dir: directory,
    version,
    announcement: latest?.announcement ?? null,
  });
  if (note !== null) say(note);
  return {
    version,
    go: async (recipe, settings) => {
      cutRunFiles(directory, { step: version, nextIndex: null, metrics: {} });
      say(`going on with ${id} where it was, at step ${version}`);
      return runState.resumption.reopen(storedRecipe(recipe), settings);
    },
  };
}

/** Another supervisor, or services without one, may be at work elsewhere. */
async function whenNobodyBeats(redis: Redis, id: string, withinMs: number): Promise<void> {
  const registry = new Registry(redis, id);
  const deadline = performance.now() + withinMs;
  for (;;) {
    const alive = (await Promise.all(SERVICES.map((service) => registry.list(service)))).flat();
    if (alive.length === 0) return;
    if (performance.now() > deadline) {
      const names = alive.map(({ service, replica, pid }) => `${service}/${replica} (process ${pid})`);
      throw new ForgeError(
        'CONFLICT_STATE',
        `run ${id} is still running: heartbeats of ${names.join(', ')}; stop it first`,
        { id, alive: names },
      );
    }
    await sleep(POLL_MS);
  }
}
