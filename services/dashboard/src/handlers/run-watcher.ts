import { loadRecipe } from '@forge/config';
import { runPaths } from '@forge/contracts';
import { ForgeError } from '@forge/errors';
import { readSummary } from '@forge/runs';
import type { Ledger, MetricsRow, RunEvents, RunListing, RunView } from '../api';
import { flowRates, type Counted } from '../domain/flow-rates';
import { NO_RATES, pipeline } from '../domain/pipeline';
import { ledgerOfSummary } from '../domain/ledger-of-summary';
import { verdict } from '../domain/verdict';
import { LiveRun, type LiveAccess, type LiveLook } from './live-run';
import { listingOf, type FoundRun, type RunCatalog } from './run-catalog';
import { RunFiles, type Added } from './run-files';

/** How often a run is looked at. */
const TURN_MS = 1_000;
/** Rows that verdict and pipeline go by. */
const RECENT_ROWS = 10;
/** Rates are of so long. */
const RATES_MS = 10_000;

/** An event of a run: its name, and what is to be told. */
export type RunEvent = { [Name in keyof RunEvents]: { name: Name; data: RunEvents[Name] } }[keyof RunEvents];
export type Listener = (event: RunEvent) => void;

/**
 * Looks at one run for all who want to see it, once a second at most: its files, and its Redis while it goes on. While
 * a client listens it looks by itself, and tells what has changed.
 */
export class RunWatcher {
  private readonly listeners = new Set<Listener>();
  private files: RunFiles | null = null;
  private recent: MetricsRow[] = [];
  private counts: Counted[] = [];
  private live: { key: string; run: LiveRun } | null = null;
  private config: { at: string; value: unknown } | null = null;
  private latest: { view: RunView; atMs: number } | null = null;
  private turning: Promise<RunView> | null = null;
  private timer: NodeJS.Timeout | null = null;
  /** The ledger as Redis had it last. */
  private ledger: Ledger | null = null;
  private told = '';
  private problem: string | null = null;
  private isClosed = false;
  /** The time a client last wanted something of it. */
  usedAtMs: number;

  constructor(
    private readonly id: string,
    private readonly catalog: RunCatalog,
    private readonly nowMs: () => number,
  ) {
    this.usedAtMs = nowMs();
  }

  get isUsed(): boolean {
    return this.listeners.size > 0;
  }

  /**
   * How the run stands, a second old at most.
   *
   * @throws {HttpProblem} when there is no such run, or it can't be read.
   */
  async view(): Promise<RunView> {
    this.usedAtMs = this.nowMs();
    if (this.latest !== null && this.nowMs() - this.latest.atMs < TURN_MS) return this.latest.view;
    return this.turn();
  }

  /** Tells what happens until the returned function is called; first what there is. */
  listen(listener: Listener): () => void {
    this.listeners.add(listener);
    this.usedAtMs = this.nowMs();
    if (this.latest !== null) listener({ name: 'view', data: this.latest.view });
    listener({ name: 'problem', data: this.problem });
    this.timer ??= setTimeout(() => void this.follow(), 0);
    return () => {
      this.listeners.delete(listener);
      this.usedAtMs = this.nowMs();
    };
  }

  /**
   * Gives `work` the state of the run, which has to go on.
   *
   * @throws {ForgeError} TRANSIENT_REDIS_UNREACHABLE; CONFLICT_STATE for a run that is over.
   */
  use<T>(work: (access: LiveAccess) => Promise<T>): Promise<T> {
    this.usedAtMs = this.nowMs();
    const { record } = this.catalog.find(this.id);
    const live = this.liveOf({ record });
    if (live !== null) return live.use(work);
    const message = `run ${this.id} is over (${record.state}); only a running one can be changed`;
    return Promise.reject(new ForgeError('CONFLICT_STATE', message, { id: this.id, state: record.state }));
  }

  close(): void {
    this.isClosed = true;
    if (this.timer !== null) clearTimeout(this.timer);
    this.timer = null;
    this.listeners.clear();
    this.live?.run.close();
    this.live = null;
  }

  private async follow(): Promise<void> {
    const startedAtMs = this.nowMs();
    try {
      const view = await this.turn();
      this.say(null);
      const text = JSON.stringify(view);
      if (text !== this.told) this.tell({ name: 'view', data: view });
      this.told = text;
    } catch (error) {
      this.say((error as Error).message);
    }
    const waitMs = Math.max(0, TURN_MS - (this.nowMs() - startedAtMs));
    this.timer = this.isUsed ? setTimeout(() => void this.follow(), waitMs) : null;
  }

  private say(problem: string | null): void {
    if (problem === this.problem) return;
    this.problem = problem;
    this.tell({ name: 'problem', data: problem });
  }

  private tell(event: RunEvent): void {
    for (const listener of this.listeners) listener(event);
  }

  private turn(): Promise<RunView> {
    this.turning ??= this.look().finally(() => (this.turning = null));
    return this.turning;
  }

  private async look(): Promise<RunView> {
    const found = this.foundRun();
    await this.readFiles(found);
    const run = await listingOf(found.directory, { id: this.id, record: found.record, problem: null });
    const { look, liveProblem } = await this.lookLive(found);
    const view = this.viewOf(found, run, look, liveProblem);
    this.latest = { view, atMs: this.nowMs() };
    return view;
  }

  private foundRun(): FoundRun {
    try {
      return this.catalog.find(this.id);
    } catch (error) {
      // Should it come again, it is another one.
      this.files = null;
      this.latest = null;
      this.told = '';
      this.live?.run.close();
      this.live = null;
      throw error;
    }
  }

  private async readFiles({ directory }: FoundRun): Promise<void> {
    if (this.files === null) {
      this.files = new RunFiles(directory);
      await this.files.skip();
      this.recent = await this.files.newestMetrics(RECENT_ROWS);
      return;
    }
    const added: Added = await this.files.added();
    if (added.metrics.length > 0) this.recent = await this.files.newestMetrics(RECENT_ROWS);
    if (added.metrics.length > 0) this.tell({ name: 'metrics', data: added.metrics });
    if (added.samples.length > 0) this.tell({ name: 'samples', data: added.samples });
    if (added.controls.length > 0) this.tell({ name: 'controls', data: added.controls });
  }

  private async lookLive(found: FoundRun): Promise<{ look: LiveLook | null; liveProblem: string | null }> {
    const live = this.liveOf(found);
    if (live === null) return { look: null, liveProblem: null };
    try {
      const look = await live.look();
      const { atMs } = look.live;
      this.counts = [...this.counts.filter((one) => atMs - one.atMs <= RATES_MS), { atMs, ...look }];
      return { look, liveProblem: null };
    } catch (error) {
      this.counts = [];
      return { look: null, liveProblem: ForgeError.from(error).message };
    }
  }

  /** A run that is resumed may have another Redis. */
  private liveOf({ record }: Pick<FoundRun, 'record'>): LiveRun | null {
    const key =
      record.state === 'running' && !this.isClosed
        ? `${record.redisUrl} ${record.redisPasswordFile ?? ''}`
        : null;
    if (this.live !== null && this.live.key !== key) {
      this.live.run.close();
      this.live = null;
      this.counts = [];
    }
    if (key === null) return null;
    this.live ??= { key, run: new LiveRun(record) };
    return this.live.run;
  }

  private viewOf(
    found: FoundRun,
    listing: RunListing,
    look: LiveLook | null,
    liveProblem: string | null,
  ): RunView {
    const live = look?.live ?? null;
    // The row of a step is written a moment after its commit.
    const run = live === null ? listing : { ...listing, step: live.version, steps: live.steps };
    const rows = this.recent;
    const rates = look === null ? NO_RATES : flowRates(this.counts);
    return {
      run,
      config: this.configOf(found),
      live,
      liveProblem,
      pipeline: pipeline({ rows, live, queues: look?.queues ?? null, rates }),
      verdict: verdict({ run, rows, live }),
      ledger: this.ledgerOf(found, look),
    };
  }

  /** The newest known. */
  private ledgerOf({ directory, record }: FoundRun, look: LiveLook | null): Ledger | null {
    if (look !== null) this.ledger = look.ledger;
    const summed = record.state === 'running' ? null : ledgerOfSummary(readSummary(directory));
    return summed ?? this.ledger;
  }

  /** The recipe, read again when the run was resumed. */
  private configOf({ directory, record }: FoundRun): unknown {
    const at = `${record.pid} ${record.state}`;
    if (this.config?.at !== at) this.config = { at, value: readConfig(directory) };
    return this.config.value;
  }
}

/** Null: what another version of Forge has written. */
function readConfig(directory: string): unknown {
  try {
    return loadRecipe(runPaths(directory).config, [], { searchDirs: [] });
  } catch {
    return null;
  }
}
