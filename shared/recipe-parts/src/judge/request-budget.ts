import { setTimeout as sleep } from 'node:timers/promises';

/** The passing of time, which tests replace. */
export interface Clock {
  now(): number;
  sleep(ms: number): Promise<unknown>;
}

export const systemClock: Clock = { now: () => performance.now(), sleep: (ms) => sleep(ms) };

const MINUTE_MS = 60_000;

/** Lets so many requests go in any minute, and so many at a time, in the order in which they come. */
export class RequestBudget {
  /** Starts of the last requests, at most one minute's. */
  private readonly starts: number[] = [];
  private readonly waiting: (() => void)[] = [];
  private turn: Promise<void> = Promise.resolve();
  private free: number;

  constructor(
    private readonly perMinute: number,
    parallel: number,
    private readonly clock: Clock,
  ) {
    this.free = parallel;
  }

  /** The result of `request`, which starts once there is room for it. */
  async spend<T>(request: () => Promise<T>): Promise<T> {
    await this.place();
    try {
      this.turn = this.turn.then(() => this.minute());
      await this.turn;
      return await request();
    } finally {
      const next = this.waiting.shift();
      if (next === undefined) this.free += 1;
      else next();
    }
  }

  private async place(): Promise<void> {
    if (this.free > 0) this.free -= 1;
    else await new Promise<void>((resolve) => this.waiting.push(resolve));
  }

  private async minute(): Promise<void> {
    if (this.starts.length >= this.perMinute) {
      const waitMs = this.starts.shift()! + MINUTE_MS - this.clock.now();
      if (waitMs > 0) await this.clock.sleep(waitMs);
    }
    this.starts.push(this.clock.now());
  }
}
