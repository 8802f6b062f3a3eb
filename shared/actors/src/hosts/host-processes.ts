import { ForgeError, within } from '@forge/errors';
import { forkProcess, type ForkedProcess } from '../process/forked-process';
import type { ProcessControl } from '../process/governed-process';
import type { Address } from '../transports/transport';
import type { GpuPool } from './gpu-pool';

/** Time beyond the drain, for cleanup. */
const END_GRACE_MS = 5_000;

/** The processes a machine runs for others, and its GPUs. */
export class HostProcesses {
  private readonly running = new Map<number, ProcessControl>();
  private isLeaving = false;

  constructor(
    readonly gpus: GpuPool,
    /** Address at which processes listen, with a free port. */
    private readonly address: Address,
    /** Told which caller spawns and releases which process. */
    private readonly log: (message: string) => void,
  ) {}

  get pids(): readonly number[] {
    return [...this.running.keys()];
  }

  /**
   * @param caller name of the caller, for the log.
   * @throws {ForgeError} CAPACITY_GPUS with the numbers; TRANSIENT_SERVICE_UNAVAILABLE once it drains.
   */
  start(caller: string, count: number, gpusPerProcess: number): ForkedProcess[] {
    if (this.isLeaving)
      throw new ForgeError('TRANSIENT_SERVICE_UNAVAILABLE', 'the host is ending, it starts nothing more');
    const gpus = this.gpus.allocate(count * gpusPerProcess);
    return Array.from({ length: count }, (_, index) => {
      const own = gpus.slice(index * gpusPerProcess, (index + 1) * gpusPerProcess);
      return this.fork(caller, gpusPerProcess === 0 ? null : own);
    });
  }

  /** Tells a process to end; ignores one that is gone. */
  end(pid: number): void {
    this.running.get(pid)?.end();
  }

  kill(pid: number): void {
    this.running.get(pid)?.kill();
  }

  /** Starts nothing more; processes answer what has come to them, for at most `drainMs`, and end. */
  async drain(drainMs: number): Promise<void> {
    this.isLeaving = true;
    const controls = [...this.running.values()];
    for (const control of controls) control.end(drainMs);
    const ended = Promise.all(controls.map(({ exited }) => exited));
    await within(drainMs + END_GRACE_MS, ended, () => {
      for (const control of controls) control.kill();
    });
    await ended;
  }

  private fork(caller: string, gpus: readonly number[] | null): ForkedProcess {
    const forked = forkProcess(this.address, gpus, () => {
      this.gpus.release(gpus ?? []);
      this.running.delete(pid);
    });
    const { pid, exited } = forked.control;
    this.running.set(pid, forked.control);
    const having = gpus === null ? '' : ` with GPU ${gpus.join(', ')}`;
    this.log(`${caller} spawns process ${pid}${having}`);
    void exited.then(({ message }) => {
      this.log(`${message}; ${caller} had it${having}`);
    });
    return forked;
  }
}
