import { ForgeError, type WireError } from '@forge/errors';
import { ActorBase } from '../actor/actor-base';
import { callContext } from '../actor/call-context';
import { endpoint } from '../actor/endpoint';
import { inCompletionOrder, single } from '../mesh/completion-order';
import type { ForkedProcess } from '../process/forked-process';
import { parseSocketAddress } from '../transports/socket-address';
import type { HostProcesses } from './host-processes';

/** The id of the agent at the address of its host. */
export const HOST = 'host';

/** A host and its resources. */
export interface HostDescription {
  readonly name: string;
  /** Version of Forge. */
  readonly version: string;
  readonly gpus: readonly number[];
  readonly freeGpus: readonly number[];
  /** Ids of the processes that the host runs for others. */
  readonly pids: readonly number[];
}

/** A process as its caller finds it: on the machine the agent is on. */
export interface StartedProcess {
  readonly pid: number;
  readonly port: number;
}

/** The processes that were started, then every process that has ended, by its index. */
export type ProcessNews =
  { readonly started: readonly StartedProcess[] } | { readonly index: number; readonly exit: WireError };

/** Starts processes for callers on other machines, and ends what they leave behind. */
export class HostAgent extends ActorBase {
  constructor(
    private readonly about: Pick<HostDescription, 'name' | 'version'>,
    private readonly processes: HostProcesses,
  ) {
    super();
  }

  @endpoint({ concurrent: true, idempotent: true })
  describe(): HostDescription {
    const { gpus, pids } = this.processes;
    return { ...this.about, gpus: gpus.ids, freeGpus: gpus.available, pids };
  }

  /**
   * Starts processes, and tells of their ends. The stream is the lease: when its caller ends it, or is lost, those that
   * are left are killed.
   *
   * @param caller name of the caller, for the log.
   * @throws {ForgeError} CAPACITY_GPUS with the numbers; TRANSIENT_REPLICA_LOST; TRANSIENT_SERVICE_UNAVAILABLE while
   *   the agent ends. Then none of them is left.
   */
  @endpoint({ concurrent: true })
  async *run(caller: string, count: number, gpusPerProcess: number): AsyncGenerator<ProcessNews> {
    const { signal } = callContext();
    const forked = this.processes.start(caller, count, gpusPerProcess);
    const kill = (): void => {
      for (const { control } of forked) this.processes.kill(control.pid);
    };
    // Kill at once, also while an exit is waited for.
    signal.addEventListener('abort', kill, { once: true });
    try {
      yield { started: await Promise.all(forked.map(listening)) };
      const exits = forked.map(({ control }, index) =>
        single(control.exited.then((exit) => ({ index, exit: exit.toWire() }))),
      );
      yield* inCompletionOrder(exits);
    } finally {
      kill();
    }
  }

  /** Tells a process to end, its actors having stopped. */
  @endpoint({ concurrent: true })
  end(pid: number): void {
    this.processes.end(pid);
  }

  @endpoint({ concurrent: true })
  kill(pid: number): void {
    this.processes.kill(pid);
  }
}

async function listening({ control, address }: ForkedProcess): Promise<StartedProcess> {
  const at = parseSocketAddress(await address);
  if (at.scheme === 'unix')
    throw new ForgeError('BUG_INVARIANT', `a process for others listens at ${at.path}`);
  return { pid: control.pid, port: at.port };
}
