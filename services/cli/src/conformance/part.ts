import { spawn, type ChildProcess } from 'node:child_process';
import { closeSync, openSync, readFileSync } from 'node:fs';
import type { Restartable } from './check';

/** End of a process: its exit code, or the signal that ended it. */
export type PartEnd = number | NodeJS.Signals;

/** Characters of its last words that are shown. */
const LAST_WORDS = 300;

/** The part under test: a process of ours where there is a command, else one that somebody else has started. */
export class Part implements Restartable {
  private child: ChildProcess | null = null;
  private end: PartEnd | null = null;

  constructor(
    /** One program with its arguments. */
    private readonly command: string | null,
    private readonly environment: NodeJS.ProcessEnv,
    private readonly logFile: string,
  ) {}

  get canStart(): boolean {
    return this.command !== null;
  }

  /** Why nothing is to be expected of it any more; null while it runs, as far as can be told. */
  get ended(): string | null {
    if (this.end === null) return null;
    const words = readFileSync(this.logFile, 'utf8').trim().slice(-LAST_WORDS);
    return `the part ended with ${this.end}${words === '' ? '' : `: ${words}`}`;
  }

  ensure(): void {
    if (this.command === null || (this.child !== null && this.end === null)) return;
    this.end = null;
    const log = openSync(this.logFile, 'w');
    const child = spawn('sh', ['-c', `exec ${this.command}`], {
      env: this.environment,
      stdio: ['ignore', log, log],
      // A program of several processes is ended as a whole.
      detached: true,
    });
    closeSync(log);
    this.child = child;
    child.once('exit', (code, signal) => {
      if (this.child === child) this.end = signal ?? code ?? 1;
    });
    child.once('error', () => {
      if (this.child === child) this.end ??= 1;
    });
  }

  /** Sends a signal and waits for the end; null when it did not come in time, or there is nothing to end. */
  async stop(signal: NodeJS.Signals, withinMs: number): Promise<PartEnd | null> {
    const { child } = this;
    if (child === null) return null;
    if (this.end !== null) return this.end;
    const exited = new Promise<PartEnd>((resolve) => {
      child.once('exit', (code, by) => resolve(by ?? code ?? 1));
    });
    if (signal === 'SIGKILL') this.killGroup();
    else child.kill(signal);
    let timer: NodeJS.Timeout | undefined;
    const late = new Promise<null>((resolve) => (timer = setTimeout(resolve, withinMs, null)));
    return Promise.race([exited, late]).finally(() => clearTimeout(timer));
  }

  /** Ends it without a word, with all that it has started. */
  killGroup(): void {
    const pid = this.child?.pid;
    if (pid === undefined) return;
    try {
      process.kill(-pid, 'SIGKILL');
    } catch (error) {
      // Nothing of it is left.
      if ((error as NodeJS.ErrnoException).code !== 'ESRCH') throw error;
    }
  }
}
