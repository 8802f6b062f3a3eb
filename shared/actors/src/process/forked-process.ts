import { fork, type ChildProcess } from 'node:child_process';
import { rmSync } from 'node:fs';
import { mkdtemp } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join, sep } from 'node:path';
import { actorEnvironment } from '@forge/config';
import { ForgeError } from '@forge/errors';
import { connectTo } from '../transports/connections';
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
    execArgv: process.execArgv.filter((argument) => !argument.startsWith('--inspect')),
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
  const dir = await mkdtemp(join(tmpdir(), 'forge-'));
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
