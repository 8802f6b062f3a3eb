const WINDOW_MS = 60_000;

/** Sees from the process ids of replicas how often each was started again lately. */
export class RestartLog {
  private readonly pids = new Map<string, number>();
  private readonly starts = new Map<string, number[]>();

  /** A replica has this process id now; how often it was started again in the last minute, as far as it was seen. */
  see(replica: string, pid: number, nowMs: number): number {
    const before = this.pids.get(replica);
    this.pids.set(replica, pid);
    const recent = (this.starts.get(replica) ?? []).filter((atMs) => nowMs - atMs < WINDOW_MS);
    if (before !== undefined && before !== pid) recent.push(nowMs);
    this.starts.set(replica, recent);
    return recent.length;
  }
}
