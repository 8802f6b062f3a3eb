import { readdirSync, readFileSync, readlinkSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { ForgeError } from '@forge/errors';
import type { RunRecord } from './run-directory';

const POLL_MS = 100;

/**
 * Waits until the services of a run that lost its supervisor, and its own Redis in `redisDir`, have ended, which they
 * do by themselves: they would work beside those that go on. Where the system does not show them (no /proc) nothing is
 * waited for.
 *
 * @throws {ForgeError} CONFLICT_STATE when some are there still at the end.
 */
export async function whenProcessesEnded(
  { id, redisDir }: Pick<RunRecord, 'id' | 'redisDir'>,
  withinMs: number,
  say: (message: string) => void,
): Promise<void> {
  const deadline = performance.now() + withinMs;
  let pids = processesOf(id, redisDir);
  if (pids.length > 0) say(`waiting for what is left of ${id} to end (process ${pids.join(', ')})`);
  while (pids.length > 0) {
    if (performance.now() > deadline) {
      const message = `run ${id} is still running (process ${pids.join(', ')}); end it first`;
      throw new ForgeError('CONFLICT_STATE', message, { id, pids });
    }
    await sleep(POLL_MS);
    pids = processesOf(id, redisDir);
  }
}

function processesOf(runId: string, redisDir: string | null): number[] {
  let names: string[];
  try {
    names = readdirSync('/proc').filter((name) => /^\d+$/.test(name) && Number(name) !== process.pid);
  } catch {
    return [];
  }
  return names
    .map(Number)
    .filter((pid) => isService(pid, runId) || (redisDir !== null && isServer(pid, redisDir)));
}

/** Its environment names the run. */
function isService(pid: number, runId: string): boolean {
  return shown(() =>
    readFileSync(`/proc/${pid}/environ`, 'utf8').split('\0').includes(`FORGE_RUN_ID=${runId}`),
  );
}

/** A Redis works in the directory of its files. */
function isServer(pid: number, dir: string): boolean {
  return shown(
    () =>
      /^(redis|valkey)-server$/.test(readFileSync(`/proc/${pid}/comm`, 'utf8').trim()) &&
      readlinkSync(`/proc/${pid}/cwd`) === dir,
  );
}

/** False for a process that ended meanwhile, or belongs to another user. */
function shown(look: () => boolean): boolean {
  try {
    return look();
  } catch {
    return false;
  }
}
