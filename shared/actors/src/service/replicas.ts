import type { ForgeError } from '@forge/errors';
import type { Replica, ReplicaObserver } from './replica';
import type { ServiceCall } from './service-call';

/** The replicas of a service, wherever they come from. */
export interface Replicas {
  readonly all: readonly Replica[];
  /** Replicas that take calls, in the order of their indices. */
  readonly healthy: readonly Replica[];
  /** Why no replica will ever come up again; null while one is up or may come. */
  readonly exhaustedBy: ForgeError | null;
  /** @throws {ForgeError} why a replica did not start; then none of the new ones is left. */
  grow(by: number): Promise<void>;
  /** Lets the last ones finish what they have begun; what waits for them moves on. */
  shrink(by: number, drainMs: number): Promise<void>;
  /** A replica is not to be trusted any more: no traffic. Told twice of one failure, it acts once. */
  fail(replica: Replica, error: ForgeError, generation: number): void;
  /** Ends all, or lets go of all; calls under way have `drainMs`. */
  stop(drainMs: number): Promise<void>;
}

/** The side that gives replicas their calls and hears of their ends. */
export interface ReplicasObserver extends ReplicaObserver {
  /** A replica came up. */
  up(): void;
  /** Takes calls that have lost their place. */
  displaced(calls: readonly ServiceCall[]): void;
  /** The last replica was given up. */
  exhausted(error: ForgeError): void;
}
