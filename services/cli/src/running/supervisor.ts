import { fork, type ChildProcess } from 'node:child_process';
import { closeSync, fstatSync, openSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { RestartWindow } from '@forge/broker';
import { bundleOf } from '@forge/threads';
import { lastWords } from './last-words';

/** Exit code of a service whose recipe, environment or model is wrong: started again it would end the same way. */
export const WRONG_CONFIGURATION = 2;

/** One service process of a run. */
export interface ServiceProcess {
  service: string;
  replica: string;
}

export interface SupervisorOptions {
  /** Directory that receives one log file per process. */
  logDirectory: string;
  /** Environment of every service; the replica's name and where it answers calls are added. */
  environment: NodeJS.ProcessEnv;
  /** Directory of the sockets at which services answer each other; other users may not enter it. */
  socketDirectory: string;
  /** How often within a minute each process is started again. */
  restartsPerMinute: number;
  /** How long a process that is asked to drain may take. */
  drainMs: number;
  /** A process that is on trial has ended; it is not started again. */
  onTrialEnd(process: ServiceProcess, reason: string): void;
  onRestart(process: ServiceProcess, reason: string): void;
  /** A process has ended and is not started again; `isHopeless` where it would end the same way. */
  onFailure(process: ServiceProcess, reason: string, isHopeless: boolean): void;
}

interface Running extends ServiceProcess {
  child: ChildProcess;
  exited: Promise<void>;
  /** On trial: not heard to be ready yet; should it end, that is all. */
  isTrial: boolean;
  /** Action after the drain it is asked for; null: the process is to stay. */
  leaves: { thenStart: boolean } | null;
}

/** How a process ended. */
interface End {
  /** Its signal or exit code. */
  how: string;
  /** Its last line. */
  words: string | null;
  isHopeless: boolean;
}

/**
 * Starts the services of a run as child processes and keeps them running: a dead one is started again with
 * growing pauses, one that dies too often within a minute ends the run, and so does one that can't work at all, at once.
 * Children notice the death of this process by their closed IPC channel and end too.
 *
 * A process that is told to leave does not count as dead.
 */
export class Supervisor {
  private readonly children = new Set<Running>();
  /** The process of each name. */
  private readonly holders = new Map<string, Running>();
  /** The process that is to take the place of the one with a name. */
  private readonly successors = new Map<string, Running>();
  private readonly restarts = new Map<string, RestartWindow>();
  /** Names whose process is dead and about to be started again. */
  private readonly timers = new Map<string, NodeJS.Timeout>();
  private stopping = false;

  constructor(private readonly options: SupervisorOptions) {}

  start(process: ServiceProcess): void {
    if (!this.stopping) this.holders.set(key(process), this.launch(process, false));
  }

  /** Starts a process on trial: beside the one that has its name, if there is one. To be accepted once it is ready. */
  tryOut(process: ServiceProcess): void {
    if (this.stopping) return;
    const names = this.has(process) ? this.successors : this.holders;
    names.set(key(process), this.launch(process, true));
  }

  /** Ends the trial of a process; the process that had its name before is asked to drain. */
  accept(process: ServiceProcess): void {
    const name = key(process);
    const successor = this.successors.get(name);
    const holder = this.holders.get(name);
    if (successor === undefined) {
      if (holder) holder.isTrial = false;
      return;
    }
    if (holder) this.leave(holder, false);
    this.succeed(name, successor);
  }

  /** Asks a process to drain; it is not started again, unless `thenStart`. */
  drain(process: ServiceProcess, { thenStart = false } = {}): void {
    const name = key(process);
    clearTimeout(this.timers.get(name));
    this.timers.delete(name);
    const holder = this.holders.get(name);
    if (holder) this.leave(holder, thenStart);
    else if (thenStart) this.start(process);
  }

  /** Whether a name is taken, by a process that runs, drains or is about to be started again. */
  has(process: ServiceProcess): boolean {
    return this.holders.has(key(process)) || this.timers.has(key(process));
  }

  /** Processes of a service that run and are to stay. */
  processesOf(service: string): ServiceProcess[] {
    return [...this.holders.values()].filter((one) => one.service === service && one.leaves === null);
  }

  /** Process id of the holder of a name, or its successor; undefined where the name is free or its holder leaves. */
  pidOf(process: ServiceProcess): number | undefined {
    const one = this.successors.get(key(process)) ?? this.holders.get(key(process));
    return one === undefined || one.leaves !== null ? undefined : one.child.pid;
  }

  /** Asks everything to drain, waits, and kills what has not ended by the deadline. */
  async stop(deadlineMs: number): Promise<void> {
    this.stopping = true;
    for (const timer of this.timers.values()) clearTimeout(timer);
    const all = [...this.children];
    // A second SIGTERM would end those at once that drain already.
    for (const { child, leaves } of all) if (leaves === null) child.kill('SIGTERM');
    const timer = setTimeout(() => {
      for (const { child } of all) child.kill('SIGKILL');
    }, deadlineMs);
    await Promise.all(all.map((one) => one.exited));
    clearTimeout(timer);
  }

  /** Ends everything now. */
  kill(): void {
    this.stopping = true;
    for (const { child } of this.children) child.kill('SIGKILL');
  }

  private launch(process: ServiceProcess, isTrial: boolean): Running {
    const { service, replica } = process;
    const logFile = join(this.options.logDirectory, `${service}-${replica}.log`);
    const log = openSync(logFile, 'a');
    const { size: logStart } = fstatSync(log);
    const child = fork(mainOf(service), {
      execArgv: nodeArguments(),
      env: {
        ...this.options.environment,
        FORGE_REPLICA: replica,
        FORGE_CALL_ADDRESS: `unix:${join(this.options.socketDirectory, `${service}-${replica}`)}`,
      },
      stdio: ['ignore', log, log, 'ipc'],
    });
    closeSync(log);
    const exited = new Promise<void>((resolve) => {
      child.once('exit', (code, signal) => {
        resolve();
        this.ended(running, {
          how: signal ?? `exit ${code}`,
          words: signal === null ? lastWords(logFile, logStart, service) : null,
          isHopeless: code === WRONG_CONFIGURATION,
        });
      });
    });
    const running: Running = { service, replica, child, exited, isTrial, leaves: null };
    this.children.add(running);
    return running;
  }

  private leave(one: Running, thenStart: boolean): void {
    if (one.leaves !== null) {
      one.leaves = { thenStart };
      return;
    }
    one.leaves = { thenStart };
    one.child.kill('SIGTERM');
    const timer = setTimeout(() => one.child.kill('SIGKILL'), this.options.drainMs);
    void one.exited.then(() => clearTimeout(timer));
  }

  private succeed(name: string, successor: Running): void {
    successor.isTrial = false;
    this.successors.delete(name);
    this.holders.set(name, successor);
  }

  private ended(one: Running, end: End): void {
    const { service, replica } = one;
    const process = { service, replica };
    const name = key(process);
    this.children.delete(one);
    const isSuccessor = this.successors.get(name) === one;
    if (isSuccessor) this.successors.delete(name);
    const isHolder = this.holders.get(name) === one;
    if (isHolder) this.holders.delete(name);
    if (this.stopping) return;
    if (one.isTrial) {
      this.options.onTrialEnd(process, end.isHopeless ? reasonOf(end) : end.how);
      return;
    }
    // A process that gave up its name, or was fenced off by its successor, was expected to end.
    if (!isHolder) return;
    const successor = this.successors.get(name);
    if (successor) this.succeed(name, successor);
    else if (one.leaves !== null) {
      if (one.leaves.thenStart) this.start(process);
    } else if (end.isHopeless) this.options.onFailure(process, reasonOf(end), true);
    else this.startAgain(process, end);
  }

  private startAgain(process: ServiceProcess, end: End): void {
    const name = key(process);
    const restarts = this.restarts.get(name) ?? new RestartWindow(this.options.restartsPerMinute);
    this.restarts.set(name, restarts);
    const pauseMs = restarts.next(performance.now());
    if (pauseMs === null) {
      this.options.onFailure(process, reasonOf(end), false);
      return;
    }
    this.options.onRestart(process, end.how);
    const timer = setTimeout(() => {
      this.timers.delete(name);
      this.start(process);
    }, pauseMs);
    this.timers.set(name, timer);
  }
}

const reasonOf = ({ how, words }: End) => (words === null ? how : `${how}: ${words}`);
const key = ({ service, replica }: ServiceProcess) => `${service}/${replica}`;

/**
 * Arguments of Node for a service. The young generation of each of its threads stays at 32 MiB, as up to Node 22: on Node 24
 * it may come to 128 MiB.
 */
export function nodeArguments(): string[] {
  return ['--max-semi-space-size=16', ...process.execArgv];
}

/** The program of a service. */
export function mainOf(service: string): string {
  return bundleOf(join(dirname(require.resolve(`@forge/${service}/package.json`)), 'dist', 'main.js'));
}
