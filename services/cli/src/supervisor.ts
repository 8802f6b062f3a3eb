import { fork, type ChildProcess } from 'node:child_process';
import { closeSync, openSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { RestartWindow } from '@forge/broker';

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
  /** Directory of the sockets at which services answer each other; nobody else may enter it. */
  socketDirectory: string;
  /** How often within a minute each process is started again. */
  restartsPerMinute: number;
  onRestart(process: ServiceProcess, reason: string): void;
  onFailure(process: ServiceProcess, reason: string): void;
}

interface Running extends ServiceProcess {
  child: ChildProcess;
  exited: Promise<void>;
}

/**
 * Starts the services of a run as child processes and keeps them running: a dead one is started again with
 * growing pauses, one that dies too often within a minute ends the run. Children notice the death of this
 * process by their closed IPC channel and end too.
 */
export class Supervisor {
  private readonly running = new Map<string, Running>();
  private readonly restarts = new Map<string, RestartWindow>();
  private readonly timers = new Set<NodeJS.Timeout>();
  private stopping = false;

  constructor(private readonly options: SupervisorOptions) {}

  start(process: ServiceProcess): void {
    const { service, replica } = process;
    const log = openSync(join(this.options.logDirectory, `${service}-${replica}.log`), 'a');
    const child = fork(mainOf(service), {
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
        this.ended(process, signal ?? `exit ${code}`);
      });
    });
    this.running.set(key(process), { ...process, child, exited });
  }

  /** Asks the named services to drain, waits, and kills what has not ended by the deadline. */
  async stop(services: readonly string[], deadlineMs: number): Promise<void> {
    this.stopping = true;
    for (const timer of this.timers) clearTimeout(timer);
    const chosen = [...this.running.values()].filter((one) => services.includes(one.service));
    for (const { child } of chosen) child.kill('SIGTERM');
    const timer = setTimeout(() => {
      for (const { child } of chosen) child.kill('SIGKILL');
    }, deadlineMs);
    await Promise.all(chosen.map((one) => one.exited));
    clearTimeout(timer);
  }

  /** Ends everything now. */
  kill(): void {
    this.stopping = true;
    for (const { child } of this.running.values()) child.kill('SIGKILL');
  }

  private ended(process: ServiceProcess, reason: string): void {
    this.running.delete(key(process));
    if (this.stopping) return;
    const restarts = this.restarts.get(key(process)) ?? new RestartWindow(this.options.restartsPerMinute);
    this.restarts.set(key(process), restarts);
    const pauseMs = restarts.next(performance.now());
    if (pauseMs === null) {
      this.options.onFailure(process, reason);
      return;
    }
    this.options.onRestart(process, reason);
    const timer = setTimeout(() => {
      this.timers.delete(timer);
      this.start(process);
    }, pauseMs);
    this.timers.add(timer);
  }
}

const key = ({ service, replica }: ServiceProcess) => `${service}/${replica}`;

function mainOf(service: string): string {
  return join(dirname(require.resolve(`@forge/${service}/package.json`)), 'dist', 'main.js');
}
