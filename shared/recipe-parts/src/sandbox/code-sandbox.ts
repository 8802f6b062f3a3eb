import { join } from 'node:path';
import { within } from '@forge/errors';
import { spawnWorker, type WorkerHandle } from '@forge/threads';
import type { Program, Verdict } from './run-program';
import type { SandboxApi } from './sandbox-worker';

export interface CodeSandboxOptions {
  /** Longest time of one program, tests included. */
  timeMs: number;
  /** Programs that run at the same time, each in a thread. */
  parallel: number;
}

type Thread = WorkerHandle<SandboxApi>;

/**
 * Runs untrusted programs, so many at a time. A thread whose program takes too long, or breaks the interpreter, is ended and
 * replaced. Threads start when they are needed and keep no process from ending.
 */
export class CodeSandbox {
  private readonly idle: Thread[] = [];
  private readonly waiting: ((thread: Thread | Promise<Thread>) => void)[] = [];
  private threads = 0;

  constructor(private readonly options: CodeSandboxOptions) {}

  /** The verdict on a program, which may do anything: this does not fail. */
  async run(program: Program): Promise<Verdict> {
    const thread = await this.acquire();
    const verdict = await this.inTime(thread.call('run', program));
    if (typeof verdict !== 'string') {
      this.release(thread);
      return verdict;
    }
    void thread.terminate();
    this.threads -= 1;
    this.waiting.shift()?.(this.acquire());
    return { passed: 0, error: verdict };
  }

  /** The verdict, or the reason why the thread gives none and is not to be used again. */
  private inTime(running: Promise<Verdict>): Promise<Verdict | string> {
    const { timeMs } = this.options;
    const ended = running.catch((error: Error) => error.message);
    return within(timeMs, ended, () => `it takes longer than ${timeMs} ms`);
  }

  /** A thread that can be called; its start is not on the clock of a program. */
  private async acquire(): Promise<Thread> {
    const idle = this.idle.pop();
    if (idle !== undefined) return idle;
    if (this.threads >= this.options.parallel) return new Promise((resolve) => this.waiting.push(resolve));
    this.threads += 1;
    const thread = spawnWorker<SandboxApi>(join(__dirname, 'sandbox-worker'), undefined, {
      keepsProcess: false,
    });
    try {
      await thread.call('open', undefined);
      return thread;
    } catch (error) {
      this.threads -= 1;
      throw error;
    }
  }

  private release(thread: Thread): void {
    const next = this.waiting.shift();
    if (next === undefined) this.idle.push(thread);
    else next(thread);
  }
}
