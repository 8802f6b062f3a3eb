import { fork, type ChildProcess } from 'node:child_process';
import { rmSync } from 'node:fs';
import { join, sep } from 'node:path';
import { actorEnvironment } from '@forge/config';
import { ForgeError } from '@forge/errors';
import { connectTo } from '../transports/connections';
import { makeSocketDirectory } from '../transports/socket-directory';
import type { Address } from '../transports/transport';
import type { ActorProcess } from './actor-process';
import { GovernedProcess, type ProcessControl } from './governed-process';

const MAIN = join(__dirname.replace(`${sep}src${sep}`, `${sep}dist${sep}`), '../runtime/actor-main.js');

/** A Node process for actors that is starting. */
export interface ForkedProcess {
  readonly control: ProcessControl;
  /** Address at which the process answers; rejects with TRANSIENT_REPLICA_LOST when it ends before it does. */
  readonly address: Promise<Address>;
}

/**
 * Starts a Node process for actors on this machine. It ends with this process, also when this one is killed.
 *
 * @param at the address at which it listens.
 * @param gpus the only GPUs it sees; null: the ones this process sees.
 * @param ended is called once it is gone, before code that waits for that goes on.
 */
export function forkProcess(at: Address, gpus: readonly number[] | null, ended: () => void): ForkedProcess {
  const child = fork(MAIN, [at, String(process.pid)], {
    env: actorEnvironment(gpus),
    execArgv: inheritedArguments(process.execArgv),
    stdio: ['ignore', 'inherit', 'inherit', 'ipc'],
  });
  const control = controlOf(child, ended);
  const listening = new Promise<Address>((resolve) => child.once('message', resolve as () => void));
  const address = Promise.race([listening, control.exited]).then((outcome) => {
    if (outcome instanceof ForgeError) throw outcome;
    return outcome;
  });
  return { control, address };
}

const INSPECTOR = /^--inspect/;
/** A program in an argument; a child that inherited it would run that, and start children of its own. */
const PROGRAM = /^(-[ep]{1,2}|--eval|--print)$/;
const PROGRAM_OR_ITS_KIND = /^--(eval|print|input-type)=/;

/** The arguments of Node that a child shares with this process: those that say how it runs, not what. */
export function inheritedArguments(execArgv: readonly string[]): string[] {
  return execArgv.filter(
    (argument, at) =>
      ![INSPECTOR, PROGRAM, PROGRAM_OR_ITS_KIND].some((kind) => kind.test(argument)) &&
      !PROGRAM.test(execArgv[at - 1] ?? ''),
  );
}

/**
 * A forked process that this one rules.
 *
 * @throws {ForgeError} TRANSIENT_REPLICA_LOST when it ends before it can be talked to.
 */
export async function forkActorProcess(
  gpus: readonly number[] | null,
  ended: () => void,
): Promise<ActorProcess> {
  // Keep other users out: the directory is this user's only.
  const dir = await makeSocketDirectory();
  const { control, address } = forkProcess(`unix:${join(dir, 's')}`, gpus, () => {
    ended();
    rmSync(dir, { recursive: true, force: true });
  });
  try {
    return new GovernedProcess(await connectTo(await address), control);
  } catch (error) {
    control.kill();
    throw error;
  }
}

function controlOf(child: ChildProcess, ended: () => void): ProcessControl {
  const { pid = 0 } = child;
  const exited = new Promise<ForgeError>((resolve) => {
    const end = (how: string): void => {
      ended();
      resolve(new ForgeError('TRANSIENT_REPLICA_LOST', `the actor process ${pid} ${how}`, { pid }));
    };
    child.once('exit', (code, signal) => {
      end(`ended with ${signal ?? `exit code ${String(code)}`}`);
    });
    child.once('error', ({ message }) => {
      // A process that never started has no exit.
      if (child.pid === undefined) end(`did not start: ${message}`);
    });
  });
  return {
    pid,
    exited,
    end: (drainMs = 0) => {
      // A process that has just died is told in vain.
      if (child.connected) child.send(drainMs, () => undefined);
    },
    kill: () => {
      child.kill('SIGKILL');
    },
  };
}
