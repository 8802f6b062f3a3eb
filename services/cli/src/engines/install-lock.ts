import { linkSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { absentAsSync } from '@forge/files';
import { isAlive, processMark } from '@forge/runs';

const LOOK_MS = 500;

/**
 * The result of `work`, done while no other process that takes the lock file does its own; one that died has none.
 * `onWait` is called once, with the process that has it.
 */
export async function underLock<T>(
  path: string,
  { onWait, sleep }: { onWait: (pid: number) => void; sleep: (ms: number) => Promise<unknown> },
  work: () => Promise<T>,
): Promise<T> {
  for (let isFirst = true; !take(path); isFirst = false) {
    const pid = holder(path);
    if (pid === null) continue;
    if (isFirst) onWait(pid);
    await sleep(LOOK_MS);
  }
  try {
    return await work();
  } finally {
    rmSync(path, { force: true });
  }
}

/** Whether it was free. The file appears with its content, by a link. */
function take(path: string): boolean {
  const own = `${path}.${process.pid}`;
  writeFileSync(own, `${process.pid} ${processMark(process.pid) ?? ''}`);
  try {
    linkSync(own, path);
    return true;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'EEXIST') return false;
    throw error;
  } finally {
    rmSync(own);
  }
}

/** The process that has the lock; null when it is free by now. */
function holder(path: string): number | null {
  const text = absentAsSync(null, () => readFileSync(path, 'utf8'));
  if (text === null) return null;
  const [pid, mark] = text.split(' ');
  if (isAlive(Number(pid), mark || null)) return Number(pid);
  const aside = `${path}.${process.pid}`;
  absentAsSync(undefined, () => {
    renameSync(path, aside);
    // Another process may have found it stale as well, and taken it since.
    if (readFileSync(aside, 'utf8') !== text) linkSync(aside, path);
    rmSync(aside);
  });
  return null;
}
