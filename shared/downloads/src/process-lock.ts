import { randomUUID } from 'node:crypto';
import { mkdir, readdir, rename, rm, rmdir, stat, utimes, writeFile } from 'node:fs/promises';
import { hostname } from 'node:os';
import { dirname, join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { absentAs } from '@forge/files';
import { cancelled } from './download-watch';

/** How often the owner shows that it lives. */
const BEAT_MS = 1_000;
/** A lock whose owner has been silent for so long belongs to nobody; it may live on another host. */
const STALE_MS = 15_000;
/** The same where its process is not seen on this host; containers that share a name do not see each other's. */
const STALE_UNSEEN_MS = 3_000;
const LOOK_MS = 250;

/**
 * The result of `work`, done while no other process that asks for the same lock does its own. `onWait` is called once with
 * the one that has it, in words.
 *
 * A lock is a directory with one file, which is named by its owner. A directory takes the place of an empty one only, so one
 * owner comes in; whoever finds an owner dead removes the file of that owner and no other.
 *
 * @throws {ForgeError} CANCELLED when `signal` ends the wait.
 */
export async function underLock<T>(
  path: string,
  { signal, onWait }: { signal?: AbortSignal | undefined; onWait: (holder: string) => void },
  work: () => Promise<T>,
): Promise<T> {
  const owner = `${process.pid}@${hostname()}@${randomUUID()}`;
  await mkdir(dirname(path), { recursive: true });
  for (let hasWaited = false; ;) {
    const holder = await liveHolder(path);
    if (holder === null) {
      if (await take(path, owner)) break;
      continue;
    }
    if (!hasWaited) onWait(inWords(holder));
    hasWaited = true;
    await sleep(LOOK_MS, undefined, { signal }).catch(() => undefined);
    if (signal?.aborted) throw cancelled();
  }
  const beat = setInterval(() => {
    // A file that is gone was taken for a dead owner's; the work is checked by its hash all the same.
    void utimes(join(path, owner), new Date(), new Date()).catch(() => undefined);
  }, BEAT_MS);
  try {
    return await work();
  } finally {
    clearInterval(beat);
    await rm(join(path, owner), { force: true });
    // Another owner may be in by now.
    await rmdir(path).catch(() => undefined);
  }
}

/** Whether nobody else came in. */
async function take(path: string, owner: string): Promise<boolean> {
  const own = `${path}.${owner}`;
  await mkdir(own);
  await writeFile(join(own, owner), '');
  try {
    await rename(own, path);
    return true;
  } catch (error) {
    await rm(own, { recursive: true });
    const { code } = error as NodeJS.ErrnoException;
    if (code === 'ENOTEMPTY' || code === 'EEXIST') return false;
    throw error;
  }
}

/** The owner that has the lock; null when there is none that lives. */
async function liveHolder(path: string): Promise<string | null> {
  const [holder] = await absentAs([], () => readdir(path));
  if (holder === undefined) return null;
  const file = await absentAs(null, () => stat(join(path, holder)));
  if (file === null) return null;
  if (!isDead(holder, Date.now() - file.mtimeMs)) return holder;
  await rm(join(path, holder), { force: true });
  return null;
}

function isDead(holder: string, silentMs: number): boolean {
  if (silentMs > STALE_MS) return true;
  const [pid, host] = holder.split('@');
  return silentMs > STALE_UNSEEN_MS && host === hostname() && !isRunning(Number(pid));
}

function inWords(holder: string): string {
  const [pid, host] = holder.split('@');
  return `process ${pid}${host === hostname() ? '' : ` on ${host}`}`;
}

function isRunning(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'EPERM';
  }
}
