import { AsyncLocalStorage } from 'node:async_hooks';
import { randomUUID } from 'node:crypto';
import type { ServiceCore } from './service-core';
import type { OnSessionLost } from './sessions';

export interface SessionOptions {
  /** Default: a new one. */
  id?: string;
  /** Conduct when the replica is lost: `move` goes on with a fresh replica and says so; `reject` fails the calls. Default move. */
  onLost?: OnSessionLost;
}

interface Entry {
  readonly session: Session;
  readonly outer: Entry | undefined;
}

/** The sessions that are open around the running code, innermost first. */
const around = new AsyncLocalStorage<Entry | undefined>();

/** Sticky: its calls go to one replica, which is bound at the first of them. */
export class Session {
  readonly id: string;
  private isOpen = true;

  /** @internal */
  constructor(
    /** @internal */
    readonly core: ServiceCore,
    { id = randomUUID(), onLost = 'move' }: SessionOptions = {},
  ) {
    this.id = id;
    core.dispatcher.sessions.open(id, onLost);
  }

  /** Number of times that the session went on with another replica. */
  get moves(): number {
    return this.core.dispatcher.sessions.movesOf(this.id);
  }

  /** The index of its replica; null before the first call. */
  get replica(): number | null {
    return this.core.dispatcher.sessions.seatIndex(this.id);
  }

  get isEnded(): boolean {
    return !this.isOpen;
  }

  /** Makes it the session of the running function from here on, and of everything that starts from it. @internal */
  enter(): void {
    around.enterWith({ session: this, outer: firstOpen() });
  }

  /** Runs `body` inside the session. @internal */
  run<T>(body: () => Promise<T>): Promise<T> {
    return around.run({ session: this, outer: firstOpen() }, body);
  }

  /** Calls of code that is still inside are no longer sticky. */
  end(): void {
    if (!this.isOpen) return;
    this.isOpen = false;
    this.core.dispatcher.sessions.end(this.id);
  }

  [Symbol.asyncDispose](): Promise<void> {
    this.end();
    around.enterWith(firstOpen());
    return Promise.resolve();
  }
}

/** The id of the innermost open session of a service around the running code. */
export function currentSession(core: ServiceCore): string | undefined {
  for (let entry = around.getStore(); entry !== undefined; entry = entry.outer)
    if (entry.session.core === core && !entry.session.isEnded) return entry.session.id;
  return undefined;
}

function firstOpen(): Entry | undefined {
  let entry = around.getStore();
  while (entry?.session.isEnded === true) entry = entry.outer;
  return entry;
}
