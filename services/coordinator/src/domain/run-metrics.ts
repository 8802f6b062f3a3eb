import type { TelemetryEvent } from '@forge/contracts';
import type { Evaluation } from './evaluation-schedule';

type ServiceEvent = Extract<TelemetryEvent, { kind: 'service' }>;
type StepEvent = Extract<TelemetryEvent, { kind: 'step' }>;

/** One line of `metrics.jsonl`: flat numbers by metric name, `step` counting the optimizer steps applied. */
export type MetricsRow = { step: number } & Record<string, number>;

/**
 * Merges what the services report into one row per optimizer step: the trainer's step metrics, the latest
 * report of each service and the newest held-out evaluation.
 *
 * A row is handed out when the next step comes in or the run ends, so that an evaluation of the version the
 * step produced still finds its row.
 */
export class RunMetrics {
  private readonly services = new Map<string, ServiceEvent>();
  private open: MetricsRow | null = null;
  private weightsRefused = 0;

  /** `lastStep`: rows up to this step were written by an earlier coordinator of the run. */
  constructor(
    private lastStep: number,
    private evaluation: Evaluation | null,
  ) {}

  addService(event: ServiceEvent): void {
    this.services.set(`${event.service}/${event.replica}`, event);
    this.weightsRefused += event.values.weightsRefused ?? 0;
  }

  addEvaluation(evaluation: Evaluation): void {
    this.evaluation = evaluation;
    if (this.open) Object.assign(this.open, evaluationValues(evaluation));
  }

  /** Takes in a step; the finished row of the step before it, if there is one. A step seen before changes nothing. */
  addStep(event: StepEvent, secondsSinceStart: number): MetricsRow | null {
    if (event.step <= this.lastStep) return null;
    const finished = this.close();
    this.lastStep = event.step;
    this.open = {
      step: event.step,
      'time/elapsed_s': secondsSinceStart,
      ...event.values,
      ...serviceValues([...this.services.values()]),
      'weights/refused': this.weightsRefused,
      ...(this.evaluation ? evaluationValues(this.evaluation) : {}),
    };
    return finished;
  }

  /** The row still open, which is then closed. */
  close(): MetricsRow | null {
    const row = this.open;
    this.open = null;
    return row;
  }
}

function evaluationValues({ version, accuracy }: Evaluation): Record<string, number> {
  return { 'eval/accuracy': accuracy, 'eval/version': version };
}

/**
 * `busy/<service>`: busy time over wall time, mean over replicas. `tokens/generated_per_second`: sum over the
 * policy replicas. `memory/<service>_bytes`: resident bytes of the largest replica.
 */
export function serviceValues(latest: readonly ServiceEvent[]): Record<string, number> {
  const values: Record<string, number> = {};
  for (const service of new Set(latest.map((event) => event.service))) {
    const events = latest.filter((event) => event.service === service);
    const busy = events.map(({ values: v }) => (v.busyMs ?? 0) / (v.intervalMs ?? Infinity));
    values[`busy/${service}`] = busy.reduce((sum, share) => sum + share, 0) / busy.length;
    values[`memory/${service}_bytes`] = Math.max(...events.map(({ values: v }) => v.residentBytes ?? 0));
    if (service !== 'policy') continue;
    const rates = events.map(({ values: v }) => (1000 * (v.tokens ?? 0)) / (v.intervalMs ?? Infinity));
    values['tokens/generated_per_second'] = rates.reduce((sum, rate) => sum + rate, 0);
  }
  return values;
}
