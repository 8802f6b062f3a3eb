import { execFile } from 'node:child_process';
import { readdirSync, readFileSync } from 'node:fs';
import { promisify } from 'node:util';

const LOOK_MS = 1_000;

/** Looks at the memory of process groups, as long as there are any. */
export class MemoryWatch {
  private readonly watched = new Map<number, () => void>();
  private timer: NodeJS.Timeout | null = null;

  constructor(private readonly limitBytes: number) {}

  /** Calls `onExceeded` once the processes of the group together take more than the limit; returns what ends the watch. */
  watch(group: number, onExceeded: () => void): () => void {
    this.watched.set(group, onExceeded);
    this.timer ??= setTimeout(() => void this.look(), LOOK_MS).unref();
    return () => {
      this.watched.delete(group);
    };
  }

  private async look(): Promise<void> {
    if (this.watched.size > 0) {
      const used = await residentBytes(this.watched);
      for (const [group, onExceeded] of this.watched)
        if ((used.get(group) ?? 0) > this.limitBytes) onExceeded();
    }
    this.timer = this.watched.size > 0 ? setTimeout(() => void this.look(), LOOK_MS).unref() : null;
  }
}

/** Resident memory of the processes of each of these groups. */
function residentBytes(groups: ReadonlyMap<number, unknown>): Promise<Map<number, number>> {
  return process.platform === 'linux' ? Promise.resolve(ofLinux(groups)) : ofPs();
}

function ofLinux(groups: ReadonlyMap<number, unknown>): Map<number, number> {
  const used = new Map<number, number>();
  for (const pid of readdirSync('/proc')) {
    if (!/^\d+$/.test(pid)) continue;
    try {
      // The name before it may hold anything.
      const stat = readFileSync(`/proc/${pid}/stat`, 'latin1');
      const group = Number(stat.slice(stat.lastIndexOf(')') + 2).split(' ')[2]);
      if (!groups.has(group)) continue;
      const [, kilobytes = '0'] =
        /^VmRSS:\s*(\d+)/m.exec(readFileSync(`/proc/${pid}/status`, 'latin1')) ?? [];
      used.set(group, (used.get(group) ?? 0) + Number(kilobytes) * 1024);
    } catch {
      // It has ended meanwhile.
    }
  }
  return used;
}

async function ofPs(): Promise<Map<number, number>> {
  const used = new Map<number, number>();
  const { stdout } = await promisify(execFile)('ps', ['-A', '-o', 'pgid=', '-o', 'rss=']).catch(() => ({
    stdout: '',
  }));
  for (const line of stdout.trim().split('\n')) {
    const [group = 0, kilobytes = 0] = line.trim().split(/\s+/).map(Number);
    used.set(group, (used.get(group) ?? 0) + kilobytes * 1024);
  }
  return used;
}
