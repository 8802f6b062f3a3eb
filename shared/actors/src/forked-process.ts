import { fork, type ChildProcess } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import { rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join, sep } from 'node:path';
import { actorEnvironment } from '@forge/config';
import { ForgeError } from '@forge/errors';
import type { ActorClass } from './actor';
import { moduleOf } from './actor-module';
import type { ActorProcess } from './actor-process';
import { AGENT, type ActorFailure } from './actor-runtime';
import type { Birth } from './birth';
import { connectTo } from './connections';
import { failureFromWire, type WireActorFailure } from './failure-log';
import type { Channel } from './transport';

/** Beyond the drain, for cleanup and for what the actors themselves have spawned. */
const STOP_GRACE_MS = 5_000;
const MAIN = join(__dirname.replace(`${sep}src`, `${sep}dist`), 'actor-main.js');

/**
 * Starts a Node process for actors on this machine. It ends when this one does, whatever this one dies of.
 *
 * @throws {ForgeError} TRANSIENT_REPLICA_LOST when it ends before it can be talked to.
 */
export async function forkActorProcess(gpus: readonly number[] | null): Promise<ActorProcess> {
  const socket = join(tmpdir(), `forge-${process.pid}-${randomUUID().slice(0, 8)}.sock`);
  const child = fork(MAIN, [`unix:${socket}`, String(process.pid)], {
    env: actorEnvironment(gpus),
    execArgv: process.execArgv.filter((argument) => !argument.startsWith('--inspect')),
    stdio: ['ignore', 'inherit', 'inherit', 'ipc'],
  });
  const exited = new Promise<ForgeError>((resolve) => {
    child.once('exit', (code, signal) => {
      void rm(socket, { force: true });
      resolve(lostError(child, `ended with ${signal ?? `exit code ${String(code)}`}`));
    });
    child.once('error', (cause) => {
      resolve(lostError(child, cause.message));
    });
  });
  try {
    const listening = new Promise<string>((resolve) => child.once('message', resolve as () => void));
    const address = await Promise.race([listening, exited]);
    if (address instanceof ForgeError) throw address;
    return new ForkedProcess(child, exited, await connectTo(address));
  } catch (error) {
    child.kill('SIGKILL');
    throw error;
  }
}

class ForkedProcess implements ActorProcess {
  readonly pid: number;
  readonly lost: Promise<ForgeError>;

  constructor(
    private readonly child: ChildProcess,
    private readonly exited: Promise<ForgeError>,
    readonly channel: Channel,
  ) {
    this.pid = child.pid ?? 0;
    this.lost = Promise.race([exited, channel.lost]);
    // One that no longer answers is of no use; it would come back as a stranger.
    void this.lost.then(() => child.kill('SIGKILL'));
  }

  get failures(): AsyncIterable<ActorFailure> {
    return this.readFailures();
  }

  async spawn(id: string, actorClass: ActorClass, birth: Birth, args: readonly unknown[]): Promise<void> {
    await this.rule('spawn', [id, moduleOf(actorClass), birth, args]);
  }

  async stopActor(id: string, drainMs: number): Promise<void> {
    await this.rule('stopActor', [id, drainMs]);
  }

  async stop(drainMs: number): Promise<void> {
    if (this.child.connected) this.child.send({ stop: drainMs }, () => undefined);
    const timer = setTimeout(() => this.child.kill('SIGKILL'), drainMs + STOP_GRACE_MS);
    await this.exited;
    clearTimeout(timer);
    await this.channel.close();
  }

  async kill(): Promise<void> {
    this.child.kill('SIGKILL');
    await this.exited;
    await this.channel.close();
  }

  private rule(endpoint: string, args: readonly unknown[]): Promise<unknown> {
    return this.channel.call({ actor: AGENT, endpoint, args, key: '' });
  }

  private async *readFailures(): AsyncGenerator<ActorFailure> {
    const request = { actor: AGENT, endpoint: 'failures', args: [], key: '' };
    try {
      for await (const { actor, failure } of this.channel.stream(request) as AsyncIterable<WireActorFailure>)
        yield { actor, failure: failureFromWire(failure) };
    } catch {
      // The process is gone, which `lost` tells.
    }
  }
}

function lostError({ pid }: ChildProcess, what: string): ForgeError {
  return new ForgeError('TRANSIENT_REPLICA_LOST', `the actor process ${pid ?? ''} ${what}`, { pid });
}
