import { randomUUID } from 'node:crypto';
import { mkdir, readFile, rename, rm, stat, utimes, writeFile } from 'node:fs/promises';
import { hostname } from 'node:os';
import { dirname } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { absentAs } from '@forge/files';
import { cancelled } from './hub-fetch';

/** How often the owner shows that it lives. */
const BEAT_MS = 1_000;
/** A lock whose owner has been silent for so long belongs to nobody; it may live on another host. */
const STALE_MS = 15_000;
/** The same where its process is not seen on this host; containers that share a name do not see each other's. */
const STALE_UNSEEN_MS = 3_000;
const LOOK_MS = 250;

interface Owner {
  id: string;
  host: string;
  pid: number;
}

/**
 * The result of `work`, done while no other process that asks for the same lock does its own. `onWait` is called once
 * when another one has it.
 *
 * @throws {ForgeError} CANCELLED when `signal` ends the wait.
 */
export async function underLock<T>(
  path: string,
  { signal, onWait }: { signal?: AbortSignal | undefined; onWait: () => void },
  work: () => Promise<T>,
): Promise<T> {
  const owner: Owner = { id: randomUUID(), host: hostname(), pid: process.pid };
  await mkdir(dirname(path), { recursive: true });
  for (let hasWaited = false; !(await take(path, owner)); hasWaited = true) {
    if (!hasWaited) onWait();
    await sleep(LOOK_MS, undefined, { signal }).catch(() => undefined);
    if (signal?.aborted) throw cancelled();
  }
  const beat = setInterval(() => {
    // A lock that is gone was taken for stale; the work is checked by its hash all the same.
    void utimes(path, new Date(), new Date()).catch(() => undefined);
  }, BEAT_MS);
  try {
    return await work();
  } finally {
    clearInterval(beat);
    if ((await ownerOf(path))?.id === owner.id) await rm(path, { force: true });
  }
}

async function take(path: string, owner: Owner): Promise<boolean> {
  try {
    await writeFile(path, JSON.stringify(owner), { flag: 'wx' });
    return true;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error;
  }
  if (await isStale(path)) {
    // Of several that find it stale, the rename of one succeeds.
    const aside = `${path}.${owner.id}`;
    await absentAs(undefined, () => rename(path, aside));
    await rm(aside, { force: true });
  }
  return false;
}

async function isStale(path: string): Promise<boolean> {
  const file = await absentAs(null, () => stat(path));
  if (file === null) return false;
  const silentMs = Date.now() - file.mtimeMs;
  if (silentMs > STALE_MS) return true;
  if (silentMs < STALE_UNSEEN_MS) return false;
  const owner = await ownerOf(path);
  return owner !== null && owner.host === hostname() && !isRunning(owner.pid);
}

async function ownerOf(path: string): Promise<Owner | null> {
  const text = await absentAs('', () => readFile(path, 'utf8'));
  try {
    return JSON.parse(text) as Owner;
  } catch {
    // Its owner is writing it.
    return null;
  }
}

function isRunning(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'EPERM';
  }
}
