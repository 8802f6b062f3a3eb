import { ForgeError } from '@forge/errors';
import { stopAll } from './stop-all';

/** A fault of something spawned: a process that died or hung, or an exception without a caller. */
export interface Failure {
  /** The mesh or service that failed. */
  readonly name: string;
  /** Rank of the member that failed; left out when all of it failed. */
  readonly rank?: number;
  readonly error: ForgeError;
  /** The failure from which this one came, when supervision passed it on. */
  readonly cause?: Failure;
}

/** Handles a failure (true), or passes it on to the owner (false). */
export type Supervise = (failure: Failure) => boolean | Promise<boolean>;

export interface StopOptions {
  /** Longest time for messages that have come already. Default 10,000. */
  drainMs?: number;
}

/** The default of `StopOptions.drainMs`. */
export const DRAIN_MS = 10_000;

/** Something that was spawned and ends with its owner. */
export interface Owned {
  readonly name: string;
  stop(): Promise<void>;
}

/**
 * Whether `decide` handles a failure; if not, what is to be passed on: the failure itself, or a new one with it as
 * its cause when `decide` throws.
 */
export async function passedOn(name: string, decide: Supervise, failure: Failure): Promise<Failure | null> {
  try {
    return (await decide(failure)) ? null : failure;
  } catch (thrown) {
    return { name, error: ForgeError.from(thrown), cause: failure };
  }
}

/** An actor or the program, which decides about failures of everything it spawned, and takes it along when it ends. */
export class Owner {
  private readonly owned = new Set<Owned>();
  private isClosed = false;

  constructor(
    readonly name: string,
    private readonly decide: Supervise,
    private readonly escalate: (failure: Failure) => void,
  ) {}

  adopt(child: Owned): void {
    this.owned.add(child);
    // The child was under way when its owner ended.
    if (this.isClosed) child.stop().catch(() => undefined);
  }

  release(child: Owned): void {
    this.owned.delete(child);
  }

  /** Decides about a failure that is unhandled so far. */
  async handle(failure: Failure): Promise<void> {
    const unhandled = await passedOn(this.name, this.decide, failure);
    if (unhandled === null) return;
    const isNew = unhandled !== failure;
    this.escalate(isNew ? unhandled : { name: this.name, error: failure.error, cause: failure });
  }

  /** Ends the owner: everything it has spawned, or still spawns, stops. */
  async close(): Promise<void> {
    this.isClosed = true;
    await this.stopOwned();
  }

  /** Stops everything that is left, latest first. */
  async stopOwned(): Promise<void> {
    await stopAll([...this.owned].reverse(), async (child) => {
      this.owned.delete(child);
      await child.stop();
    });
  }
}

/** The failures on the way from `failure` to its origin, for a log line. */
export function describeFailure(failure: Failure): string {
  const where = failure.rank === undefined ? failure.name : `${failure.name}[${failure.rank}]`;
  const line = `${where}: ${failure.error.code}: ${failure.error.message}`;
  return failure.cause === undefined ? line : `${line}\n  from ${describeFailure(failure.cause)}`;
}

type FaultHook = (failure: Failure) => void;

const logAndExit: FaultHook = (failure) => {
  process.stderr.write(`unhandled fault: ${describeFailure(failure)}\n`);
  process.exit(1);
};
let faultHook = logAndExit;

/** Sets the end of failures that no owner handled; by default they go to stderr and the process exits with 1. */
export function setUnhandledFaultHook(hook: FaultHook | null): void {
  faultHook = hook ?? logAndExit;
}

/** The owner of what the program spawns outside any actor. */
export const rootOwner = new Owner(
  'root',
  () => false,
  ({ cause, ...failure }) => {
    faultHook(cause ?? failure);
  },
);
