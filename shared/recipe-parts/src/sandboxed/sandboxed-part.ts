import { messageOf, type RolloutScope, type Tools } from '@forge/rl';
import { z } from 'zod';
import type { OpenedPart, ToolFacts } from './hosted-part';
import type { PartPool } from './part-pool';
import type { PartArgument, PartMethod, PartProcess, PartResult } from './part-process';

interface Setting {
  pool: PartPool;
  scope: RolloutScope;
  /** Longest time to open or close it. */
  timeoutMs: number;
  isStateless: boolean;
}

/** Tools or environment of one rollout, in a process. */
export class SandboxedPart {
  private reopening: Promise<PartProcess> | null = null;
  private readonly abandon = (): void => this.process.abandon(messageOf(this.setting.scope.signal.reason));

  static async open(setting: Setting): Promise<SandboxedPart> {
    const { process, opened } = await setting.pool.open(setting.scope, setting.timeoutMs);
    return new SandboxedPart(setting, process, opened);
  }

  private constructor(
    private readonly setting: Setting,
    private process: PartProcess,
    readonly opened: OpenedPart,
  ) {
    setting.scope.signal.addEventListener('abort', this.abandon, { once: true });
  }

  /**
   * Result of a call. A part without state is made anew where its process was ended by a call that took too long.
   *
   * @throws {Error} that code of the user threw, or that says that a call beside it took too long.
   * @throws {ForgeError} the fault of the process.
   */
  async call<M extends PartMethod>(
    method: M,
    argument: PartArgument<M>,
    signal: AbortSignal,
  ): Promise<PartResult<M>> {
    const process = await this.running();
    try {
      return await process.call(method, argument, signal);
    } catch (error) {
      const isBeside = this.setting.isStateless && process.isBlocked && error === process.fault;
      throw isBeside ? new Error('it was ended with a call beside it that took too long') : error;
    }
  }

  /** The tools, as the policy calls them. */
  toolsOf(facts: readonly ToolFacts[]): Tools {
    return Object.fromEntries(
      facts.map(({ spec: { name, description, parameters }, ...bounds }) => [
        name,
        {
          ...bounds,
          description: description ?? '',
          // The model is told the schema of the tool as it is; the process checks the arguments.
          parameters: z.looseObject({}).meta({ additionalProperties: undefined, ...parameters }),
          run: (given, { seed, signal }) => this.call('call', { name, given, seed }, signal),
        } satisfies Tools[string],
      ]),
    );
  }

  async close(): Promise<void> {
    const { pool, scope, timeoutMs } = this.setting;
    scope.signal.removeEventListener('abort', this.abandon);
    await this.process.settled();
    try {
      await this.process.call('close', null, AbortSignal.timeout(timeoutMs));
    } finally {
      pool.give(this.process);
    }
  }

  private async running(): Promise<PartProcess> {
    await this.process.settled();
    const { pool, scope, timeoutMs, isStateless } = this.setting;
    if (!isStateless || !this.process.isBlocked) return this.process;
    this.reopening ??= pool
      .open(scope, timeoutMs)
      .then(({ process }) => (this.process = process))
      .finally(() => (this.reopening = null));
    return this.reopening;
  }
}
