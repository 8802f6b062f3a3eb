export interface RestartPolicy {
  /** Restarts in a row after which a replica is given up. */
  maxRestarts: number;
  /** A replica that has been healthy for so long starts anew. */
  stableMs: number;
  /** Before the second restart in a row; the first is immediate, every further one waits twice as long. */
  backoffMs: number;
  maxBackoffMs: number;
}

/** Restarts that a replica may have: exponential backoff, and a cap on restarts in a row. */
export class RestartBudget {
  private inRow = 0;
  private healthySince: number | null = null;
  /** Restarts in its whole life. */
  total = 0;

  constructor(private readonly policy: RestartPolicy) {}

  healthy(nowMs: number): void {
    this.healthySince = nowMs;
  }

  /** Milliseconds until the next start; null when the replica is given up. */
  next(nowMs: number): number | null {
    const { maxRestarts, stableMs, backoffMs, maxBackoffMs } = this.policy;
    if (this.healthySince !== null && nowMs - this.healthySince >= stableMs) this.inRow = 0;
    this.healthySince = null;
    if (this.inRow >= maxRestarts) return null;
    this.total++;
    const before = this.inRow++;
    return before === 0 ? 0 : Math.min(backoffMs * 2 ** (before - 1), maxBackoffMs);
  }
}
