import { fork, type StdioOptions } from 'node:child_process';
import { closeSync, openSync } from 'node:fs';
import { mainOf, nodeArguments } from './supervisor';

/** A server for people or their programs, in a process of its own. */
export interface ServiceProcess {
  /** Address it is found at; null when it ended before it answered. */
  address: Promise<string | null>;
  /** Its exit status, or 1 when it was killed; why, in words. */
  ended: Promise<{ status: number; reason: string }>;
  /** Lets it end; when it is told again, at once. */
  stop: () => void;
}

/**
 * Starts a service that ends with this process, however that ends.
 *
 * @param logFile the file that gets what it says; this terminal without one.
 */
export function startServiceProcess(
  service: string,
  env: NodeJS.ProcessEnv,
  logFile?: string,
): ServiceProcess {
  const log = logFile === undefined ? null : openSync(logFile, 'a');
  const stdio: StdioOptions =
    log === null ? ['ignore', 'inherit', 'inherit', 'ipc'] : ['ignore', log, log, 'ipc'];
  const child = fork(mainOf(service), { execArgv: nodeArguments(), env, stdio });
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

/** Shows where a service is found, and waits until it or the user ends it; the exit status. */
export async function untilEnded(
  started: ServiceProcess,
  shown: (address: string) => string,
): Promise<number> {
  let isAsked = false;
  const stop = (): void => {
    isAsked = true;
    started.stop();
  };
  process.on('SIGINT', stop);
  process.on('SIGTERM', stop);
  const address = await started.address;
  if (address !== null) process.stdout.write(`${shown(address)}\nCtrl-C ends it\n`);
  const { status } = await started.ended;
  return isAsked ? 0 : status;
}
