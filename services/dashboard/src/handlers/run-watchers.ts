import type { RunCatalog } from './run-catalog';
import { RunWatcher } from './run-watcher';

/** Time that an idle watcher is kept: a page that is loaded again finds it. */
const KEPT_MS = 30_000;
const SWEEP_MS = 5_000;

/** One watcher for each run that a client looks at. */
export class RunWatchers {
  private readonly watchers = new Map<string, RunWatcher>();
  private readonly sweeping: NodeJS.Timeout;

  constructor(
    private readonly catalog: RunCatalog,
    private readonly nowMs: () => number = Date.now,
  ) {
    this.sweeping = setInterval(() => this.sweep(), SWEEP_MS);
    this.sweeping.unref();
  }

  /** @throws {HttpProblem} when there is no such run, or it can't be read. */
  of(id: string): RunWatcher {
    this.catalog.find(id);
    const watcher = this.watchers.get(id) ?? new RunWatcher(id, this.catalog, this.nowMs);
    this.watchers.set(id, watcher);
    return watcher;
  }

  close(): void {
    clearInterval(this.sweeping);
    for (const watcher of this.watchers.values()) watcher.close();
    this.watchers.clear();
  }

  private sweep(): void {
    for (const [id, watcher] of this.watchers) {
      if (watcher.isUsed || this.nowMs() - watcher.usedAtMs < KEPT_MS) continue;
      watcher.close();
      this.watchers.delete(id);
    }
  }
}
