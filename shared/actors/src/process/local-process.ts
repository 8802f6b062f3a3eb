import { ForgeError } from '@forge/errors';
import type { ActorClass } from '../actor/actor-base';
import type { Birth } from '../actor/birth';
import { ActorRuntime, type ActorFailure } from '../runtime/actor-runtime';
import { failureFromWire, FailureLog } from '../runtime/failure-log';
import { connectTo, listenAt } from '../transports/connections';
import type { Address, Channel, Listener, OnRefused } from '../transports/transport';
import type { ActorProcess } from './actor-process';

/** Actors within this process, called like others: messages are copied, ordered and one at a time. */
export class LocalProcess implements ActorProcess {
  readonly pid = process.pid;
  readonly lost: Promise<ForgeError>;
  private readonly log = new FailureLog();
  private readonly runtime = new ActorRuntime((failure) => {
    this.log.add(failure);
  });
  private opening: Promise<[Listener, Channel]> | null = null;
  private opened: Channel | null = null;
  private lose: (reason: ForgeError) => void = () => undefined;

  constructor() {
    this.lost = new Promise((resolve) => (this.lose = resolve));
  }

  /** @throws {ForgeError} BUG_INVARIANT before the first spawn. */
  get channel(): Channel {
    if (this.opened !== null) return this.opened;
    throw new ForgeError('BUG_INVARIANT', 'nothing was spawned in this process yet');
  }

  get failures(): AsyncIterable<ActorFailure> {
    return this.readFailures();
  }

  /** Lets others call its actors. */
  listen(at: Address, onRefused?: OnRefused): Promise<Listener> {
    return listenAt(at, this.runtime, onRefused);
  }

  /** Constructor arguments are handed over as they are, not copied. */
  async spawn(id: string, actorClass: ActorClass, birth: Birth, args: readonly unknown[]): Promise<void> {
    this.opening ??= this.open();
    await this.opening;
    await this.runtime.spawn(id, actorClass, birth, args);
  }

  async stopActor(id: string, drainMs: number): Promise<void> {
    await this.arrival();
    await this.runtime.stopActor(id, drainMs);
  }

  async stop(drainMs: number): Promise<void> {
    await this.arrival();
    try {
      await this.runtime.stop(drainMs);
    } finally {
      await this.kill();
    }
  }

  async kill(): Promise<void> {
    this.lose(new ForgeError('TRANSIENT_REPLICA_LOST', 'the in-process actors were stopped'));
    if (this.opening === null) return;
    const [listener, channel] = await this.opening;
    await listener.close();
    await channel.close();
  }

  private async open(): Promise<[Listener, Channel]> {
    const listener = await listenAt('inproc', this.runtime);
    this.opened = await connectTo(listener.address);
    void this.opened.lost.then(this.lose);
    return [listener, this.opened];
  }

  /** Makes a round trip: every message sent before has come. */
  private async arrival(): Promise<void> {
    const request = { actor: 'nobody', endpoint: 'ping', args: [], key: '' };
    await this.opened?.call(request).catch(() => undefined);
  }

  private async *readFailures(): AsyncGenerator<ActorFailure> {
    for await (const { actor, failure } of this.log) yield { actor, failure: failureFromWire(failure) };
  }
}
