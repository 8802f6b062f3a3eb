import { fork, type StdioOptions } from 'node:child_process';
import { closeSync, openSync } from 'node:fs';
import { dashboardChildEnvironment } from '@forge/config';
import { mainOf, nodeArguments } from './supervisor';

export interface DashboardOptions {
  runsDir: string;
  host?: string;
  /** Left out: its usual one, or another one where that is taken. */
  port?: number;
  /** The file that gets what it says; this terminal without one. */
  logFile?: string;
}

/** A dashboard in a process of its own. */
export interface DashboardProcess {
  /** Where people find it, the token included; null when it ended before it answered. */
  address: Promise<string | null>;
  /** Its exit status, or 1 when it was killed; why, in words. */
  ended: Promise<{ status: number; reason: string }>;
  stop: () => void;
}

/** Starts a dashboard that ends with this process, however that ends. */
export function startDashboard({ logFile, ...options }: DashboardOptions): DashboardProcess {
  const log = logFile === undefined ? null : openSync(logFile, 'a');
  const stdio: StdioOptions =
    log === null ? ['ignore', 'inherit', 'inherit', 'ipc'] : ['ignore', log, log, 'ipc'];
  const env = dashboardChildEnvironment(options);
  const child = fork(mainOf('dashboard'), { execArgv: nodeArguments(), env, stdio });
  if (log !== null) closeSync(log);
  const ended = new Promise<{ status: number; reason: string }>((resolve) => {
    child.once('exit', (code, signal) => {
      resolve({ status: code ?? 1, reason: signal ?? `exit ${code}` });
    });
    // The process could not be started, so there will be no exit.
    child.on('error', ({ message }) => child.pid === undefined && resolve({ status: 1, reason: message }));
  });
  const told = new Promise<string>((resolve) => {
    child.once('message', (message) => {
      resolve((message as { address: string }).address);
    });
  });
  return {
    address: Promise.race([told, ended.then(() => null)]),
    ended,
    stop: () => child.kill('SIGTERM'),
  };
}
