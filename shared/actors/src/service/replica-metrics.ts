import { LatencyHistogram } from './latency-histogram';

const WINDOW_S = 60;

/** Counts and latencies of one replica, across its restarts. */
export class ReplicaMetrics {
  readonly latency = new LatencyHistogram();
  total = 0;
  successful = 0;
  failed = 0;
  private readonly perSecond = new Float64Array(WINDOW_S);
  private readonly startedAt: number;
  private second: number;

  constructor(private readonly clock: () => number) {
    this.startedAt = clock();
    this.second = Math.floor(this.startedAt / 1000);
  }

  accepted(nowMs: number): void {
    this.total++;
    this.advance(nowMs);
    this.perSecond[this.second % WINDOW_S]! += 1;
  }

  ended(latencyMs: number, isSuccess: boolean): void {
    if (isSuccess) this.successful++;
    else this.failed++;
    this.latency.add(latencyMs);
  }

  /** Calls per second over the last minute, or since the start when that is shorter (at least a second). */
  rate(): number {
    const nowMs = this.clock();
    this.advance(nowMs);
    const seconds = Math.min(WINDOW_S, Math.max(1, (nowMs - this.startedAt) / 1000));
    return this.perSecond.reduce((sum, count) => sum + count, 0) / seconds;
  }

  private advance(nowMs: number): void {
    const now = Math.floor(nowMs / 1000);
    if (now === this.second) return;
    const passed = Math.min(WINDOW_S, now - this.second);
    for (let back = 0; back < passed; back++) this.perSecond[(now - back) % WINDOW_S] = 0;
    this.second = now;
  }
}
