import { setTimeout as sleep } from 'node:timers/promises';
import type { Registry, RunControls, RunState, WantedProcesses } from '@forge/broker';
import { SCALABLE_SERVICES } from '@forge/contracts';
import { ForgeError } from '@forge/errors';
import type { ServiceProcess, Supervisor } from './supervisor';

export interface FleetOptions {
  supervisor: Pick<Supervisor, 'start' | 'tryOut' | 'accept' | 'drain' | 'has' | 'pidOf' | 'processesOf'>;
  controls: Pick<RunControls, 'wanted' | 'restarted'>;
  registry: Pick<Registry, 'list'>;
  say: (message: string) => void;
}

/** How soon something new is heard of without a signal, and while something is under way. */
const POLL_MS = 500;
const BUSY_POLL_MS = 50;

/** Services of which another one may work beside the first; of the others the newest takes over. */
const SHARE_WORK: readonly string[] = SCALABLE_SERVICES;

/**
 * Brings the processes of a run to what is wanted of them, step by step.
 *
 * A restart never begins by ending something. A service of one copy gets a successor beside it, which loads all it
 * needs and takes over by its epoch; only then its predecessor drains. Other services get one more replica; once that
 * is ready the replicas are replaced one after the other, and the additional one drains at last. So what can't start, a
 * broken upgrade say, changes nothing.
 */
export class Fleet {
  /** Requests that are under way, by process. */
  private readonly begun = new Map<string, string>();
  private isStopped = false;

  constructor(private readonly options: FleetOptions) {}

  /** Follows what is wanted until `stop`. */
  async follow(runState: Pick<RunState, 'waitForSignal'>): Promise<void> {
    let seen = '0';
    while (!this.isStopped) {
      try {
        const isBusy = await this.turn();
        if (!this.isStopped) seen = await runState.waitForSignal(seen, isBusy ? BUSY_POLL_MS : POLL_MS);
      } catch (error) {
        if (this.isStopped) return;
        this.options.say(`what is wanted of the services can't be read: ${ForgeError.from(error).message}`);
        await sleep(POLL_MS);
      }
    }
  }

  stop(): void {
    this.isStopped = true;
  }

  /** Takes the next steps; true when something is under way. */
  async turn(): Promise<boolean> {
    const wanted = await this.options.controls.wanted();
    let isBusy = false;
    for (const [service, count] of wanted.replicas) {
      const due = dueRestarts(wanted, service, count);
      const isUnderWay = SHARE_WORK.includes(service)
        ? await this.moveShared(service, count, due)
        : await this.moveSingle(service, due);
      isBusy ||= isUnderWay;
    }
    return isBusy;
  }

  /** A process that was on trial has ended: what it was started for is not done. */
  async trialEnded({ service, replica }: ServiceProcess, reason: string): Promise<void> {
    const { controls, say } = this.options;
    const wanted = await controls.wanted();
    const count = wanted.replicas.get(service) ?? 0;
    const problem = `a new ${service} ended before it was ready (${reason})`;
    say(`${service}/${replica}: ${problem}; what runs goes on`);
    for (const { name, request } of dueRestarts(wanted, service, count))
      await controls.restarted(name, request, problem);
  }

  private async moveSingle(service: string, [next]: readonly Restart[]): Promise<boolean> {
    const { supervisor, controls } = this.options;
    const process = { service, replica: '0' };
    if (!supervisor.has(process)) supervisor.start(process);
    if (next === undefined) return false;
    if (this.begins(next)) supervisor.tryOut(process);
    else if (await this.areReady([process])) {
      supervisor.accept(process);
      await controls.restarted(next.name, next.request);
    }
    return true;
  }

  private async moveShared(service: string, count: number, due: readonly Restart[]): Promise<boolean> {
    const { supervisor, controls } = this.options;
    const replica = (index: number): ServiceProcess => ({ service, replica: String(index) });
    const wanted = Array.from({ length: count }, (_, index) => replica(index));
    const spare = replica(count);
    for (const process of wanted) if (!supervisor.has(process)) supervisor.start(process);
    for (const process of supervisor.processesOf(service)) {
      const index = Number(process.replica);
      if (index > count || (index === count && due.length === 0)) supervisor.drain(process);
    }
    const [next] = due;
    if (next === undefined) return false;
    if (!supervisor.has(spare)) supervisor.tryOut(spare);
    else if (await this.areReady([...wanted, spare])) {
      supervisor.accept(spare);
      if (this.begins(next)) supervisor.drain(next.process, { thenStart: true });
      else await controls.restarted(next.name, next.request);
    }
    return true;
  }

  /** True the first time it is asked of a request. */
  private begins({ name, request }: Restart): boolean {
    if (this.begun.get(name) === request) return false;
    this.begun.set(name, request);
    return true;
  }

  /** Whether processes have said themselves that they are ready; not those that had their names before. */
  private async areReady(processes: readonly ServiceProcess[]): Promise<boolean> {
    const { supervisor, registry } = this.options;
    const heard = await registry.list(processes[0]!.service);
    return processes.every((process) =>
      heard.some(
        ({ replica, pid, isReady }) =>
          isReady && replica === process.replica && pid === supervisor.pidOf(process),
      ),
    );
  }
}

interface Restart {
  process: ServiceProcess;
  name: string;
  request: string;
}

/** Restarts of a service that are to be done, of the replicas that are wanted, in their order. */
function dueRestarts({ restarts }: WantedProcesses, service: string, count: number): Restart[] {
  return Array.from({ length: count }, (_, index) => ({ service, replica: String(index) })).flatMap(
    (process) => {
      const name = `${process.service}/${process.replica}`;
      const asked = restarts.get(name);
      return asked?.outcome === null ? [{ process, name, request: asked.request }] : [];
    },
  );
}
