import type { LiveView, MetricsRow, Pipeline, PipelineEdge, PipelineNode } from '../api';
import { sharesOf } from './shares';

/** What flows at the moment, per second; null where it is not measured. */
export interface FlowRates {
  /** Groups that were admitted. */
  jobs: number | null;
  /** Groups that policies were done with. */
  episodes: number | null;
  /** Calls by the service that answers them. */
  calls: Readonly<Record<string, number>>;
}

export const NO_RATES: FlowRates = { jobs: null, episodes: null, calls: {} };

export interface PipelineEvidence {
  /** The newest ones, oldest first. */
  rows: readonly MetricsRow[];
  live: Pick<LiveView, 'replicas'> | null;
  /** What waits now by the names of docs/metrics.md, `queue/rollouts/depth` say; null: as the newest row says. */
  queues: Readonly<Record<string, number>> | null;
  rates: FlowRates;
}

/** In the order of the work. */
const SERVICES = ['coordinator', 'policy', 'reward', 'reference', 'replay-buffer', 'trainer'];

/** The services of a run and what passes between them: as it is while the run goes on, else as it was at the end. */
export function pipeline({ rows, live, queues, rates }: PipelineEvidence): Pipeline {
  const newest = rows.at(-1) ?? {};
  const stepMs = meanOf(rows, 'time/step_ms');
  const stepsPerSecond = stepMs === null || stepMs <= 0 ? null : 1000 / stepMs;
  const services = SERVICES.filter(
    (service) => service !== 'reference' || live?.replicas.some((one) => one.service === service) || sharesOf(rows, service), // prettier-ignore
  );
  const nodes = services.map((service): PipelineNode => {
    const shares = sharesOf(rows, service);
    return {
      service,
      replicas:
        live === null ? null : live.replicas.filter((one) => one.service === service && one.isReady).length,
      busy: shares?.busy ?? null,
      idle: shares?.idle ?? null,
      waits: { ...shares?.waits },
      memoryBytes: (newest as Record<string, number>)[`memory/${service}_bytes`] ?? null,
    };
  });
  const waiting = queues ?? (live === null ? {} : newest);
  const edge = (from: string, to: string, carries: string, queue: string | null, rate: number | null): PipelineEdge => ({
    from,
    to,
    carries,
    depth: queue === null ? null : ((waiting as Record<string, number>)[`queue/${queue}/depth`] ?? null),
    ageSeconds: queue === null ? null : ((waiting as Record<string, number>)[`queue/${queue}/age_s`] ?? null),
    ratePerSecond: rate,
  }); // prettier-ignore
  const called = services.filter((service) => service === 'reward' || service === 'reference');
  const edges = [
    edge('coordinator', 'policy', 'jobs', 'rollouts', rates.jobs),
    ...called.map((service) => edge('policy', service, 'calls', null, rates.calls[service] ?? null)),
    edge('policy', 'replay-buffer', 'episodes', 'episodes', rates.episodes),
    edge('replay-buffer', 'trainer', 'batches', 'batches', stepsPerSecond),
    edge('trainer', 'policy', 'weights', null, stepsPerSecond),
  ];
  return { nodes, edges };
}

function meanOf(rows: readonly MetricsRow[], key: string): number | null {
  const values = rows.flatMap((row) => (row[key] === undefined ? [] : [row[key]]));
  return values.length === 0 ? null : values.reduce((a, b) => a + b, 0) / values.length;
}
