import { join } from 'node:path';
import { commandEnvironment } from '@forge/config';
import { ForgeError, within } from '@forge/errors';
import { bundleOf, Calls, compiledPath } from '@forge/threads';
import { z } from 'zod';
import { startGuardedGroup, toldEnding, type GuardedGroup } from '../processes/guarded-group';
import type { MemoryWatch } from '../processes/memory-watch';
import { newNetwork, type NamespaceTools } from '../processes/network-namespace';
import { OutputTail } from '../processes/output-tail';
import type { PartFacts, PartSource, Told } from './hosted-part';
import type { PartApi } from './part-main';

/** Bounds of the processes that host parts of rollouts. */
export interface SandboxOptions {
  /** Variables beside those that every program needs. */
  env: Readonly<Record<string, string>>;
  /** Memory of a process. */
  memoryMb: number;
  /** Rollouts at the same time, each with a process. */
  parallel: number;
  /** Programs that give each a network which leads nowhere; left out: it has that of this process. */
  namespaces?: NamespaceTools | undefined;
}

export interface PartProcessOptions extends SandboxOptions {
  source: PartSource;
  memory: MemoryWatch;
}

type Api = PartApi;
export type PartMethod = Exclude<keyof Api & string, 'load' | 'abandon' | 'ping'>;
export type PartArgument<M extends PartMethod> = Parameters<Api[M]>[0];
export type PartResult<M extends PartMethod> =
  Awaited<ReturnType<Api[M]>> extends Told<infer Value> ? Value : never;

const MAIN = join(__dirname, 'part-main');
const LOAD_MS = 60_000;
/** Wait for a process that is asked whether it still answers. */
const PATIENCE_MS = 1_000;
const STDERR_BYTES = 8 * 1024;

const replySchema = z.discriminatedUnion('kind', [
  z.object({ kind: z.literal('result'), id: z.int(), result: z.unknown().optional() }),
  z.object({
    kind: z.literal('error'),
    id: z.int(),
    error: z.object({ code: z.string(), message: z.string(), details: z.record(z.string(), z.unknown()) }),
  }),
]);

/**
 * A process that hosts the tools or the environment of one rollout at a time. It may read files but write none, starts no
 * processes, and is ended when it answers nothing, takes too much memory, or this process ends, however that does.
 */
export class PartProcess {
  /** Reason why it can't be called any more. */
  fault: ForgeError | null = null;
  /** Whether it was ended as it answered nothing. */
  isBlocked = false;
  facts!: PartFacts;
  private readonly calls: Calls<Api>;
  private readonly stderr: OutputTail;
  private probing: Promise<void> | null = null;

  /** @throws {ForgeError} that says what is wrong with its modules; TRANSIENT_ENVIRONMENT_FAILED when it ends as it begins. */
  static async start(options: PartProcessOptions): Promise<PartProcess> {
    const { namespaces } = options;
    const program = [process.execPath, ...flagsFor(options.memoryMb), bundleOf(compiledPath(MAIN))];
    const command = namespaces === undefined ? program : newNetwork(namespaces, program);
    const env = { ...commandEnvironment(), ...options.env };
    const started = new PartProcess(await startGuardedGroup(command, { env, answers: true }), options);
    const late = (): never => {
      started.end(failed(`its modules were not loaded within ${LOAD_MS} ms`));
      throw started.fault!;
    };
    try {
      started.facts = await within(LOAD_MS, started.calls.call('load', options.source), late);
    } catch (error) {
      started.end(failed('its modules did not load'));
      throw error;
    }
    return started;
  }

  private constructor(
    private readonly group: GuardedGroup,
    { memory, memoryMb }: PartProcessOptions,
  ) {
    const { child, pid, stdout, stderr } = group;
    group.unref();
    stdout.resume();
    this.stderr = new OutputTail(stderr, STDERR_BYTES);
    this.calls = new Calls<Api>((request) => {
      if (child.connected) child.send(request, () => undefined);
    });
    child.on('message', (message) => this.take(message));
    const unwatch = memory.watch(pid, () =>
      this.end(failed(`its process took more than ${memoryMb} MB of memory (rollout.memoryMb)`)),
    );
    void group.ended.then((ending) => {
      unwatch();
      this.end(failed(`its process failed: ${toldEnding(ending)}${this.stderr.told}`));
    });
  }

  /** Whether it has answered all that it was asked. */
  get isIdle(): boolean {
    return this.fault === null && this.calls.size === 0;
  }

  /** Resolves once it is sure whether it still answers. */
  async settled(): Promise<void> {
    await this.probing;
  }

  /**
   * Result of a call. Once `signal` is aborted it is not waited for, and a process that answers nothing then is ended.
   *
   * @throws {Error} that code of the user threw; {ForgeError} the fault of the process.
   * @throws the reason of `signal`.
   */
  async call<M extends PartMethod>(
    method: M,
    argument: PartArgument<M>,
    signal: AbortSignal,
  ): Promise<PartResult<M>> {
    signal.throwIfAborted();
    let leave!: () => void;
    const left = new Promise<never>((_resolve, reject) => {
      leave = () => {
        reject(signal.reason as Error);
        this.probe();
      };
    });
    signal.addEventListener('abort', leave, { once: true });
    try {
      const called = this.calls.call(method, argument, { signal }) as Promise<unknown>;
      const told = (await Promise.race([left, called])) as Told<PartResult<M>>;
      if ('thrown' in told) throw new Error(told.thrown);
      return told.value;
    } finally {
      signal.removeEventListener('abort', leave);
    }
  }

  /** Tells the rollout in it that nobody waits for it any more. */
  abandon(reason: string): void {
    this.calls.call('abandon', reason).catch(() => undefined);
  }

  /** Ends it; calls under way and later ones fail with `fault`. */
  end(fault: ForgeError): void {
    if (this.fault !== null) return;
    this.fault = fault;
    this.calls.fail(fault);
    this.group.kill();
  }

  private probe(): void {
    const blocked = (): void => {
      this.isBlocked = true;
      this.end(failed('its process was ended, as it answered nothing once a call took too long'));
    };
    this.probing ??= within(PATIENCE_MS, this.calls.call('ping', null), blocked)
      .catch(() => undefined)
      .then(() => {
        this.probing = null;
      });
  }

  private take(message: unknown): void {
    const parsed = replySchema.safeParse(message);
    if (parsed.success) this.calls.take(parsed.data as never);
    else this.end(failed('its process sent a message that is no reply'));
  }
}

function failed(message: string): ForgeError {
  return new ForgeError('TRANSIENT_ENVIRONMENT_FAILED', message);
}

/** Flags of Node that keep a process from writing files, starting others and taking more memory. */
function flagsFor(memoryMb: number): string[] {
  const isNamed = process.allowedNodeEnvironmentFlags.has('--permission');
  return [
    isNamed ? '--permission' : '--experimental-permission',
    '--allow-fs-read=*',
    '--no-warnings',
    `--max-old-space-size=${memoryMb}`,
  ];
}
