import type { ActorClass } from '../actor/actor-base';
import { endpointsOf, type Endpoint } from '../actor/endpoint';
import { DRAIN_MS, type Owned, type Owner, type StopOptions, type Supervise } from '../actor/supervision';
import type { ActorRef } from './actor-ref';

/** The actors of a mesh, by rank: they stop together and have one owner. */
export class ActorGroup implements Owned {
  readonly endpoints: ReadonlyMap<string, Endpoint>;
  onFailure: Supervise = () => false;
  private stopping: Promise<void> | null = null;
  private nextChoice = 0;

  constructor(
    readonly name: string,
    actorClass: ActorClass,
    private readonly refs: ReadonlyMap<number, ActorRef>,
    readonly owner: Owner,
    private readonly end: (drainMs: number) => Promise<void>,
  ) {
    this.endpoints = endpointsOf(actorClass);
    owner.adopt(this);
  }

  has(rank: number): boolean {
    return this.refs.has(rank);
  }

  ref(rank: number): ActorRef {
    return this.refs.get(rank)!;
  }

  /** The next member in turn. */
  choose(ranks: readonly number[]): ActorRef {
    return this.ref(ranks[this.nextChoice++ % ranks.length]!);
  }

  stop({ drainMs = DRAIN_MS }: StopOptions = {}): Promise<void> {
    this.stopping ??= this.end(drainMs).finally(() => {
      this.forget();
    });
    return this.stopping;
  }

  /** Lets go of the owner, once the processes are gone. */
  forget(): void {
    this.owner.release(this);
  }
}
