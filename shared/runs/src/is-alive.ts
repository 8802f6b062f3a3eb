import { readFileSync } from 'node:fs';

/** Place of the start of a process in its `stat`, counted behind the name, which may hold anything. */
const START_FIELD = 19;

/**
 * Mark that tells a process from a later one with the same id: the boot of the machine, and the clock tick at which the
 * process began. Null where the system does not say (no /proc), or there is no such process.
 */
export function processMark(pid: number): string | null {
  try {
    const boot = readFileSync('/proc/sys/kernel/random/boot_id', 'utf8').trim();
    const stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
    const start = stat.slice(stat.lastIndexOf(')') + 2).split(' ')[START_FIELD];
    return start === undefined ? null : `${boot}/${start}`;
  } catch {
    return null;
  }
}

/**
 * Whether a process of any user is still there. `mark` is what `processMark` said of it; where that is null, any
 * process with its id is taken for it.
 */
export function isAlive(pid: number, mark: string | null): boolean {
  try {
    process.kill(pid, 0);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EPERM') return false;
  }
  const found = processMark(pid);
  return mark === null || found === null || found === mark;
}
