import type { MetricReport, MetricState } from '@forge/contracts';
import { isFiniteState, mergeStates, stateOf, type Reduce } from './metric-state';

/** Recordings of one rank since they were last taken. */
interface Recorded {
  states: Map<string, MetricState>;
  values: MetricReport['values'];
}

/** Keys of a thread at most; more than a person looks at come of a name that has an id in it. */
const MAX_KEYS = 1_000;
/** Single values kept between two takes, for readers that want each; the reduced ones count all. */
const MAX_VALUES = 1_000;
const MAX_KEY_LENGTH = 200;

/** Metrics that user code and ours record in one thread, and that threads and processes below it hand up. */
export class MetricCollector {
  private readonly ranks = new Map<string, Recorded>();
  private readonly sinceStart = new Map<string, MetricState>();
  private readonly complaints = new Set<string>();
  private readonly listeners = new Set<() => void>();

  constructor(
    private readonly clock: () => number,
    /** Hears once of each thing that is wrong with a key. */
    private readonly warn: (message: string) => void,
  ) {}

  /** Adds a value, or leaves it out with a warning when it can't be added: a metric is no reason for work to fail. */
  record(key: string, value: number, reduce: Reduce): void {
    const problem = this.problemOf(key, value);
    if (problem !== null) {
      this.complain(key, problem);
      return;
    }
    const own = this.of('');
    if (!this.add(own, key, stateOf(value, reduce))) return;
    if (own.values.length < MAX_VALUES) own.values.push([key, value, this.clock()]);
    this.tell();
  }

  /** Takes over what another thread or process has recorded, whose rank is `under` ours; empty: the same rank. */
  merge({ rank, states, values }: MetricReport, under = ''): void {
    const into = this.of([under, rank].filter(Boolean).join('/'));
    for (const [key, state] of Object.entries(states)) this.add(into, key, state);
    into.values.push(...values.slice(0, MAX_VALUES - into.values.length));
    this.tell();
  }

  /** Returns all of it, by rank, and begins anew. */
  take(): MetricReport[] {
    const taken = [...this.ranks].map(([rank, { states, values }]) => ({
      rank,
      states: Object.fromEntries(states),
      values,
    }));
    this.ranks.clear();
    return taken;
  }

  /** States over all values since the start, from every recorder, taken or not. */
  get totals(): ReadonlyMap<string, MetricState> {
    return this.sinceStart;
  }

  /** Calls `listener` whenever there is something to take; the returned function ends that. */
  whenRecorded(listener: () => void): () => void {
    this.listeners.add(listener);
    if (this.ranks.size > 0) listener();
    return () => this.listeners.delete(listener);
  }

  private of(rank: string): Recorded {
    let recorded = this.ranks.get(rank);
    if (recorded === undefined) this.ranks.set(rank, (recorded = { states: new Map(), values: [] }));
    return recorded;
  }

  /** Whether it could be added: a key keeps its reduction for good. */
  private add({ states }: Recorded, key: string, state: MetricState): boolean {
    const total = this.sinceStart.get(key);
    if (total === undefined && this.sinceStart.size >= MAX_KEYS) {
      this.complain('', `more than ${MAX_KEYS} metrics are recorded; the rest is left out, ${key} for one`);
      return false;
    }
    let sum = state;
    try {
      if (total !== undefined) sum = mergeStates(key, total, state);
    } catch (error) {
      this.complain(key, `${(error as Error).message}; the second is left out`);
      return false;
    }
    if (!isFiniteState(sum)) {
      this.complain(key, `metric ${key}: its values are too large to add up; the last is left out`);
      return false;
    }
    this.sinceStart.set(key, sum);
    const before = states.get(key);
    states.set(key, before === undefined ? state : mergeStates(key, before, state));
    return true;
  }

  private problemOf(key: unknown, value: unknown): string | null {
    if (typeof key !== 'string' || key === '' || key.length > MAX_KEY_LENGTH)
      return `metric ${JSON.stringify(key)}: expected a name of 1 to ${MAX_KEY_LENGTH} characters; it is left out`;
    if (!Number.isFinite(value)) return `metric ${key}: the value is ${String(value)}; it is left out`;
    return null;
  }

  private complain(key: string, message: string): void {
    if (this.complaints.has(key) || this.complaints.size > MAX_KEYS) return;
    this.complaints.add(key);
    this.warn(message);
  }

  private tell(): void {
    for (const listener of this.listeners) listener();
  }
}
