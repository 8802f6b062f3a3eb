import {
  metrics,
  type BatchObservableCallback,
  type Histogram,
  type MeterProvider,
  type Observable,
} from '@opentelemetry/api';
import type { ReplicaMetricsSummary, ServiceMetrics } from './service-metrics';

/** Takes the time that a call of a service took, from its acceptance to its end. */
export type RecordLatency = (latencyMs: number, endpoint: string, errorCode: string | undefined) => void;

interface Reading {
  readonly name: string;
  readonly kind: 'counter' | 'gauge';
  readonly unit: string;
  readonly description: string;
  readonly of: (replica: ReplicaMetricsSummary) => number;
}

/** Readings of every replica when a reader collects; attributes `service` and `replica`. */
const READINGS: readonly Reading[] = [
  reading('requests', 'counter', '{call}', 'calls accepted', (replica) => replica.totalRequests),
  reading('failures', 'counter', '{call}', 'calls that failed', (replica) => replica.failedRequests),
  reading('restarts', 'counter', '{start}', 'starts after a failure', (replica) => replica.restarts),
  reading('active', 'gauge', '{call}', 'calls it works on', (replica) => replica.activeRequests),
  reading('queue_depth', 'gauge', '{call}', 'calls that wait for it', (replica) => replica.queueDepth),
  reading('sessions', 'gauge', '{session}', 'sticky sessions bound to it', (replica) => replica.sessions),
  reading('utilization', 'gauge', '1', 'active calls over those possible', (replica) => replica.utilization),
];

/** A service whose metrics are shown. */
interface Observed {
  readonly service: string;
  readonly summary: () => ServiceMetrics;
}

const observed = new Set<Observed>();
const latencies = new WeakMap<MeterProvider, Histogram>();

/**
 * Shows the metrics of a service to OpenTelemetry until `end`. Nothing happens unless a meter provider is
 * registered, and nothing before it is.
 */
export function instrument(
  service: string,
  summary: () => ServiceMetrics,
): { record: RecordLatency; end: () => void } {
  const shown = { service, summary };
  observed.add(shown);
  instrumentsOf(metrics.getMeterProvider());
  return {
    record: (latencyMs, endpoint, errorCode) => {
      const attributes = { service, endpoint };
      instrumentsOf(metrics.getMeterProvider()).record(
        latencyMs,
        errorCode === undefined ? attributes : { ...attributes, 'error.type': errorCode },
      );
    },
    end: () => observed.delete(shown),
  };
}

/** One set of instruments serves all services. */
function instrumentsOf(provider: MeterProvider): Histogram {
  const known = latencies.get(provider);
  if (known !== undefined) return known;
  const meter = provider.getMeter('@forge/actors');
  const instruments = READINGS.map(({ name, kind, unit, description }): Observable => {
    const options = { unit, description };
    return kind === 'counter'
      ? meter.createObservableCounter(name, options)
      : meter.createObservableGauge(name, options);
  });
  const replicas = meter.createObservableGauge('forge.service.replicas', {
    unit: '{replica}',
    description: 'replicas that take calls',
  });
  const observe: BatchObservableCallback = (result) => {
    for (const { service, summary } of observed) {
      const shown = summary();
      result.observe(replicas, shown.service.healthyReplicas, { service });
      for (const replica of shown.replicas)
        for (const [at, { of }] of READINGS.entries())
          result.observe(instruments[at]!, of(replica), { service, replica: replica.index });
    }
  };
  meter.addBatchObservableCallback(observe, [...instruments, replicas]);
  const latency = meter.createHistogram('forge.service.latency', {
    unit: 'ms',
    description: 'from acceptance of a call to its end, time in the queue included',
  });
  latencies.set(provider, latency);
  return latency;
}

function reading(
  name: string,
  kind: Reading['kind'],
  unit: string,
  description: string,
  of: Reading['of'],
): Reading {
  return { name: `forge.service.${name}`, kind, unit, description, of };
}
