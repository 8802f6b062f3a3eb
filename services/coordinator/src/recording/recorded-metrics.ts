import type { MetricReport, MetricState, TelemetryEvent } from '@forge/contracts';
import { mergeStates, valueOf } from '@forge/telemetry';

type RecordedEvent = Extract<TelemetryEvent, { kind: 'recorded' }>;
export type Values = Record<string, number>;
type Ranks = Map<string, Map<string, MetricState>>;

/** Values that were recorded between two steps: reduced over all processes, and for each process alone. */
export interface RecordedValues {
  all: Values;
  ranks: Map<string, Values>;
}

/** A value as it was recorded, by whom and when. */
export interface RecordedPoint {
  rank: string;
  key: string;
  value: number;
  atMs: number;
}

/** Processes whose metrics are kept, and metrics of each. */
const MAX_RANKS = 1_024;
const MAX_KEYS = 1_000;
const MAX_INCARNATIONS = 4_096;

/**
 * Gathers what the processes of a run record between two steps. A process is a rank: `<service>/<replica>`, and below it
 * the actor processes it has spawned.
 */
export class RecordedMetrics {
  private ranks: Ranks = new Map();
  /** The states that were taken last. */
  private taken: Ranks = new Map();
  /** The number of the latest report of each incarnation of a replica. */
  private readonly seen = new Map<string, number>();
  private readonly complaints = new Set<string>();

  constructor(private readonly warn: (message: string) => void) {}

  /** Takes in a report; its single values. A report that comes twice counts once. */
  add(event: RecordedEvent): RecordedPoint[] {
    const { service, replica, incarnation, sequence, reports } = event;
    if (sequence <= (this.seen.get(incarnation) ?? -1)) return [];
    this.seen.set(incarnation, sequence);
    for (const oldest of [...this.seen.keys()].slice(0, -MAX_INCARNATIONS)) this.seen.delete(oldest);
    return reports.flatMap((report) => {
      const rank = [service, replica, report.rank].filter(Boolean).join('/');
      this.merge(rank, report.states);
      return report.values.map(([key, value, atMs]) => ({ rank, key, value, atMs }));
    });
  }

  /** Everything since it was last taken. */
  take(): RecordedValues {
    this.taken = this.ranks;
    this.ranks = new Map();
    return this.reduced(this.taken);
  }

  /** Everything that was taken last, together with everything since. */
  takeAgain(): RecordedValues {
    const since = this.ranks;
    this.ranks = this.taken;
    for (const [rank, states] of since) this.merge(rank, Object.fromEntries(states));
    return this.take();
  }

  private reduced(ranks: Ranks): RecordedValues {
    const all = new Map<string, MetricState>();
    for (const states of ranks.values()) for (const [key, state] of states) this.mergeInto(all, key, state);
    return {
      all: valuesOf(all),
      ranks: new Map([...ranks].map(([rank, states]) => [rank, valuesOf(states)])),
    };
  }

  private merge(rank: string, states: MetricReport['states']): void {
    let into = this.ranks.get(rank);
    if (into === undefined) {
      if (this.ranks.size >= MAX_RANKS) {
        this.complain('', `more than ${MAX_RANKS} processes record metrics; those of ${rank} are left out`);
        return;
      }
      this.ranks.set(rank, (into = new Map()));
    }
    for (const [key, state] of Object.entries(states)) this.mergeInto(into, key, state);
  }

  private mergeInto(into: Map<string, MetricState>, key: string, state: MetricState): void {
    const before = into.get(key);
    if (before === undefined && into.size >= MAX_KEYS) {
      this.complain('', `more than ${MAX_KEYS} metrics are recorded; ${key} is left out`);
      return;
    }
    try {
      into.set(key, before === undefined ? state : mergeStates(key, before, state));
    } catch (error) {
      // Two processes disagree: a user's mistake, which does not end the run.
      this.complain(key, `${(error as Error).message}; the second is left out`);
    }
  }

  private complain(about: string, message: string): void {
    if (this.complaints.has(about) || this.complaints.size > MAX_KEYS) return;
    this.complaints.add(about);
    this.warn(message);
  }
}

function valuesOf(states: ReadonlyMap<string, MetricState>): Values {
  return Object.fromEntries([...states].map(([key, state]) => [key, valueOf(state)]));
}
