import type { TelemetryEvent } from '@forge/contracts';
import type { Evaluation } from '../evaluations';
import { RecordedMetrics, type RecordedPoint, type RecordedValues, type Values } from './recorded-metrics';

type ServiceEvent = Extract<TelemetryEvent, { kind: 'service' }>;
type RecordedEvent = Extract<TelemetryEvent, { kind: 'recorded' }>;
type StepEvent = Extract<TelemetryEvent, { kind: 'step' }>;

/** A replica that has not reported for so long is gone. */
const GONE_AFTER_S = 10;
/** Reports are kept of so many replicas; the one that has not reported for the longest makes room. */
const MAX_REPLICAS = 256;

/** One line of `metrics.jsonl`: flat numbers by metric name, `step` counting the optimizer steps applied. */
export type MetricsRow = { step: number } & Record<string, number>;

/** A row, and what each process recorded towards it. */
export interface FinishedRow {
  row: MetricsRow;
  /** The keys that were recorded. */
  recorded: ReadonlySet<string>;
  ranks: RecordedValues['ranks'];
}

/**
 * Merges what the services report into one row per optimizer step: the trainer's step metrics, the latest report of each
 * service, what was recorded since the step before, and the newest held-out evaluation.
 *
 * A row is made when its step is committed. Later values go into the next row; behind the last step they are handed
 * out by `late`.
 */
export class RunMetrics {
  private readonly services = new Map<string, { event: ServiceEvent; atSeconds: number }>();
  private readonly recorded: RecordedMetrics;
  private last: Values = {};
  /** The newest step that was told. */
  private step = 0;
  private weightsRefused = 0;

  /** Messages that were refused so far, by `<where>/<reason>`. */
  rejected: Readonly<Record<string, number>> = {};

  /** `written`: rows up to this step were written by an earlier coordinator of the run. */
  constructor(
    private readonly written: number,
    private evaluation: Evaluation | null,
    warn: (message: string) => void,
  ) {
    this.recorded = new RecordedMetrics(warn);
  }

  /** The newest value of each metric. */
  get newest(): Readonly<Record<string, number>> {
    return this.last;
  }

  addService(event: ServiceEvent, secondsSinceStart: number): void {
    const key = `${event.service}/${event.replica}`;
    this.services.delete(key);
    this.services.set(key, { event, atSeconds: secondsSinceStart });
    const [oldest] = this.services.keys();
    if (this.services.size > MAX_REPLICAS && oldest !== undefined) this.services.delete(oldest);
    this.weightsRefused += event.values.weightsRefused ?? 0;
  }

  addEvaluation(evaluation: Evaluation): void {
    this.evaluation = evaluation;
    Object.assign(this.last, evaluationValues(evaluation));
  }

  /** Takes in what was recorded: its single values, and the row they belong to; none that an earlier coordinator took. */
  addRecorded(event: RecordedEvent): { points: RecordedPoint[]; step: number } {
    const points = this.recorded.add(event);
    return { points: this.step < this.written ? [] : points, step: this.step + 1 };
  }

  /** The row of a step; null for one that is told again or was written before. */
  addStep(event: StepEvent, secondsSinceStart: number): FinishedRow | null {
    if (event.step <= this.step) return null;
    this.step = event.step;
    const { all, ranks } = this.recorded.take();
    if (event.step <= this.written) return null;
    const row: MetricsRow = {
      step: event.step,
      'time/elapsed_s': secondsSinceStart,
      ...event.values,
      ...serviceValues(this.reports(secondsSinceStart)),
      ...Object.fromEntries(
        Object.entries(this.rejected).map(([name, count]) => [`messages_rejected/${name}`, count]),
      ),
      'weights/refused': this.weightsRefused,
      ...(this.evaluation ? evaluationValues(this.evaluation) : {}),
      ...all,
    };
    this.last = { ...row };
    return { row, recorded: new Set(Object.keys(all)), ranks };
  }

  /**
   * Takes everything that has come behind the newest step for its row, since no other follows for now. It is reduced together
   * with what was recorded for the row already.
   */
  late(): Omit<FinishedRow, 'row'> & { step: number; values: Values } {
    const { all, ranks } = this.recorded.takeAgain();
    const evaluation = this.evaluation ? evaluationValues(this.evaluation) : {};
    return { step: this.step, values: { ...evaluation, ...all }, recorded: new Set(Object.keys(all)), ranks };
  }

  /** The latest of each replica that still reports. */
  private reports(secondsSinceStart: number): ServiceEvent[] {
    return [...this.services.values()]
      .filter(({ atSeconds }) => secondsSinceStart - atSeconds <= GONE_AFTER_S)
      .map(({ event }) => event);
  }
}

function evaluationValues({ version, accuracy, unjudged }: Evaluation): Record<string, number> {
  return { 'eval/accuracy': accuracy, 'eval/version': version, 'eval/unjudged_share': unjudged };
}

/**
 * `busy/<service>`, `idle/<service>`, `waits/<service>/<what>`: shares of the time of a replica, mean over replicas; they
 * add up to one. `tokens/generated_per_second`: sum over the policy replicas. `memory/<service>_bytes`: resident bytes of
 * the largest replica. `queue/...`: as the coordinator reports them.
 */
export function serviceValues(latest: readonly ServiceEvent[]): Record<string, number> {
  const values: Record<string, number> = {};
  for (const service of new Set(latest.map((event) => event.service))) {
    const reports = latest.filter((event) => event.service === service).map((event) => event.values);
    Object.assign(values, activityShares(service, reports));
    values[`memory/${service}_bytes`] = Math.max(...reports.map(({ residentBytes = 0 }) => residentBytes));
    for (const [key, value] of reports.flatMap((report) => Object.entries(report)))
      if (key.startsWith('queue/')) values[key] = value;
    if (service !== 'policy') continue;
    const rates = reports.map(({ tokens = 0, intervalMs = Infinity }) => (1000 * tokens) / intervalMs);
    values['tokens/generated_per_second'] = rates.reduce((sum, rate) => sum + rate, 0);
  }
  return values;
}

const ACTIVITY = /^(busy|idle|waits)(?:\/(.+))?Ms$/;

function activityShares(service: string, reports: readonly ServiceEvent['values'][]): Record<string, number> {
  const shares: Record<string, number> = {};
  for (const report of reports) {
    const spent = Object.entries(report).flatMap(([key, ms]) => {
      const [, kind, what] = ACTIVITY.exec(key) ?? [];
      return kind === undefined ? [] : [[[kind, service, what].filter(Boolean).join('/'), ms] as const];
    });
    const total = spent.reduce((sum, [, ms]) => sum + ms, 0);
    for (const [key, ms] of spent)
      shares[key] = (shares[key] ?? 0) + (total === 0 ? 0 : ms / total / reports.length);
  }
  return shares;
}
