import { ForgeError } from '@forge/errors';
import type { RolloutScope } from '@forge/rl';
import { MemoryWatch } from '../processes/memory-watch';
import type { OpenedPart, PartFacts, PartSource } from './hosted-part';
import { PartProcess, type PartProcessOptions, type SandboxOptions } from './part-process';

const IDLE_MS = 60_000;

/** Processes that host parts of rollouts: started when there is no idle one, and ended when they are idle for a minute. */
export class PartPool {
  private readonly idle = new Map<PartProcess, NodeJS.Timeout>();
  private readonly options: PartProcessOptions;

  constructor(source: PartSource, options: SandboxOptions) {
    this.options = { ...options, source, memory: new MemoryWatch(options.memoryMb * 1024 * 1024) };
  }

  /**
   * Facts about the part, which is loaded to know them.
   *
   * @throws {ForgeError} that says what is wrong with its modules.
   */
  async facts(): Promise<PartFacts> {
    const process = await this.take();
    this.give(process);
    return process.facts;
  }

  /** The part of a rollout, in a process of its own for so long. */
  async open(scope: RolloutScope, timeoutMs: number): Promise<{ process: PartProcess; opened: OpenedPart }> {
    const process = await this.take();
    try {
      const signal = AbortSignal.any([scope.signal, AbortSignal.timeout(timeoutMs)]);
      const { sample, seed } = scope;
      return { process, opened: await process.call('open', { sample, seed }, signal) };
    } catch (error) {
      this.give(process);
      throw error;
    }
  }

  /** Takes a process back; one that still does something is ended. */
  give(process: PartProcess): void {
    if (!process.isIdle) {
      process.end(new ForgeError('CANCELLED', 'the process was ended amid a call'));
      return;
    }
    const end = (): void => {
      this.idle.delete(process);
      process.end(new ForgeError('CANCELLED', 'the process was idle'));
    };
    this.idle.set(process, setTimeout(end, IDLE_MS).unref());
  }

  private async take(): Promise<PartProcess> {
    for (const [process, timer] of this.idle) {
      clearTimeout(timer);
      this.idle.delete(process);
      if (process.fault === null) return process;
    }
    return PartProcess.start(this.options);
  }
}
