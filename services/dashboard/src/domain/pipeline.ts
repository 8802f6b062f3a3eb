import { PIPELINE, SERVICES, type PipelineLink } from '@forge/contracts';
import type { LiveView, MetricsRow, Pipeline, PipelineEdge, PipelineNode } from '../api';
import { sharesOf } from './shares';

/** Rates of the moment, per second; null where they are not measured. */
export interface FlowRates {
  /** Groups that were admitted. */
  jobs: number | null;
  /** Groups that policies were done with. */
  groups: number | null;
  /** Calls by the service that answers them. */
  calls: Readonly<Record<string, number>>;
}

export const NO_RATES: FlowRates = { jobs: null, groups: null, calls: {} };

export interface PipelineEvidence {
  /** The newest ones, oldest first. */
  rows: readonly MetricsRow[];
  live: Pick<LiveView, 'replicas'> | null;
  /** Depths of the moment by the names of docs/metrics.md, `queue/rollouts/depth` say; null: as in the newest row. */
  queues: Readonly<Record<string, number>> | null;
  rates: FlowRates;
}

/** The queue or stream that carries something, by its name in docs/metrics.md. */
const QUEUES: Readonly<Partial<Record<PipelineLink['carries'], string>>> = {
  jobs: 'rollouts',
  groups: 'groups',
  batches: 'batches',
};

/** Services that a run has where its recipe needs them. */
const SOMETIMES: readonly string[] = ['gateway', 'reference'];

/** The services of a run and what passes between them: as it is while the run goes on, else as it was at the end. */
export function pipeline({ rows, live, queues, rates }: PipelineEvidence): Pipeline {
  const newest = rows.at(-1) ?? {};
  const stepMs = meanOf(rows, 'time/step_ms');
  const stepsPerSecond = stepMs === null || stepMs <= 0 ? null : 1000 / stepMs;
  const services = SERVICES.filter(
    (service) =>
      !SOMETIMES.includes(service) ||
      live?.replicas.some((one) => one.service === service) ||
      sharesOf(rows, service),
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
  const gauge = (queue: string | undefined, name: string): number | null =>
    queue === undefined ? null : ((waiting as Record<string, number>)[`queue/${queue}/${name}`] ?? null);
  const rateOf = ({ carries, to }: PipelineLink): number | null => {
    if (carries === 'jobs') return rates.jobs;
    if (carries === 'groups') return rates.groups;
    return carries === 'calls' ? (rates.calls[to] ?? null) : stepsPerSecond;
  };
  const edges = PIPELINE.filter(({ from, to }) => services.includes(from) && services.includes(to)).map(
    (link): PipelineEdge => ({
      ...link,
      depth: gauge(QUEUES[link.carries], 'depth'),
      ageSeconds: gauge(QUEUES[link.carries], 'age_s'),
      ratePerSecond: rateOf(link),
    }),
  );
  return { nodes, edges };
}

function meanOf(rows: readonly MetricsRow[], key: string): number | null {
  const values = rows.flatMap((row) => (row[key] === undefined ? [] : [row[key]]));
  return values.length === 0 ? null : values.reduce((a, b) => a + b, 0) / values.length;
}
