import { ForgeError } from '@forge/errors';
import type { Failure } from './actor-base';
import { stopAll } from './stop-all';

/** Something that was spawned and ends with its owner. */
export interface Owned {
  readonly name: string;
  stop(): Promise<void>;
}

type Decide = (failure: Failure) => boolean | Promise<boolean>;

/**
 * Whether `decide` handles a failure; if not, what is to be passed on: the failure itself, or a new one with it as
 * its cause when `decide` throws.
 */
export async function passedOn(name: string, decide: Decide, failure: Failure): Promise<Failure | null> {
  try {
    return (await decide(failure)) ? null : failure;
  } catch (thrown) {
    return { name, error: ForgeError.from(thrown), cause: failure };
  }
}

/** What spawns: an actor, or the program itself. It has a say in failures, and nothing it spawned outlives it. */
export class Owner {
  private readonly owned = new Set<Owned>();
  private isClosed = false;

  constructor(
    readonly name: string,
    private readonly decide: Decide,
    private readonly escalate: (failure: Failure) => void,
  ) {}

  adopt(child: Owned): void {
    this.owned.add(child);
    // It was under way when its owner ended.
    if (this.isClosed) child.stop().catch(() => undefined);
  }

  release(child: Owned): void {
    this.owned.delete(child);
  }

  /** A failure nobody below has handled. */
  async handle(failure: Failure): Promise<void> {
    const unhandled = await passedOn(this.name, this.decide, failure);
    if (unhandled === null) return;
    const isNew = unhandled !== failure;
    this.escalate(isNew ? unhandled : { name: this.name, error: failure.error, cause: failure });
  }

  /** The owner ends: what it has spawned, or still spawns, stops. */
  async close(): Promise<void> {
    this.isClosed = true;
    await this.stopOwned();
  }

  /** Stops what is still there, latest first. */
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

/** What happens with a failure that no owner handled; by default it is written to stderr and the process exits with 1. */
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
