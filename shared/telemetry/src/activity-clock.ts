/**
 * Divides the time of a service into activities. The first in `order` with work under way counts; without any, the
 * service is idle. Every moment thus counts once, however much goes on at the same time.
 */
export class ActivityClock {
  private readonly underWay: number[];
  private readonly spentMs: number[];
  private idleMs = 0;
  private sinceMs: number;

  /** `order`: `busy`, and `waits/<what>` for what it waits for. */
  constructor(
    private readonly order: readonly string[],
    private readonly clock: () => number = () => performance.now(),
  ) {
    this.underWay = order.map(() => 0);
    this.spentMs = order.map(() => 0);
    this.sinceMs = clock();
  }

  /** Does `work`, whose time counts as `activity`. */
  async during<T>(activity: string, work: () => T | Promise<T>): Promise<T> {
    const end = this.begin(activity);
    try {
      return await work();
    } finally {
      end();
    }
  }

  /** Begins work that lasts until the returned function is called, once. */
  begin(activity: string): () => void {
    const at = this.order.indexOf(activity);
    this.settle();
    this.underWay[at]! += 1;
    return () => {
      this.settle();
      this.underWay[at]! -= 1;
    };
  }

  /** Milliseconds since the start by activity, as a service reports them: `busyMs`, `waits/<what>Ms` and `idleMs`. */
  totals(): Record<string, number> {
    this.settle();
    return {
      ...Object.fromEntries(this.order.map((activity, at) => [`${activity}Ms`, this.spentMs[at]!])),
      idleMs: this.idleMs,
    };
  }

  private settle(): void {
    const nowMs = this.clock();
    const passedMs = nowMs - this.sinceMs;
    this.sinceMs = nowMs;
    const at = this.underWay.findIndex((count) => count > 0);
    if (at < 0) this.idleMs += passedMs;
    else this.spentMs[at]! += passedMs;
  }
}
