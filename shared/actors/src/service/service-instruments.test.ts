import { waitFor } from '@forge/testing';
import { metrics } from '@opentelemetry/api';
import {
  AggregationTemporality,
  InMemoryMetricExporter,
  MeterProvider,
  PeriodicExportingMetricReader,
  type DataPoint,
  type Histogram,
} from '@opentelemetry/sdk-metrics';
import { rootOwner } from '../actor/supervision';
import { Counter } from '../counter.fixture';
import { inProcessHost } from '../hosts/host';
import { spawnService } from './spawn-service';

const exporter = new InMemoryMetricExporter(AggregationTemporality.DELTA);
const reader = new PeriodicExportingMetricReader({ exporter, exportIntervalMillis: 3_600_000 });
const provider = new MeterProvider({ readers: [reader] });

beforeAll(() => {
  metrics.setGlobalMeterProvider(provider);
});
afterEach(() => rootOwner.stopOwned());
afterAll(async () => {
  metrics.disable();
  await provider.shutdown();
});

/** The points of every metric, by its name. */
async function collect(): Promise<Map<string, DataPoint<unknown>[]>> {
  exporter.reset();
  await reader.forceFlush();
  const all = exporter
    .getMetrics()
    .flatMap(({ scopeMetrics }) => scopeMetrics.flatMap((scope) => scope.metrics));
  return new Map(all.map(({ descriptor, dataPoints }) => [descriptor.name, dataPoints]));
}

describe('the metrics of a service', () => {
  it('are OpenTelemetry metrics while it runs', async () => {
    const service = await spawnService(
      { name: 'counters', numReplicas: 2, hosts: [inProcessHost()], maxConcurrent: 2 },
      Counter,
    );
    await service.add.call(1);
    await expect(service.refuse.choose()).rejects.toMatchObject({ code: 'CAPACITY_EXCEEDED' });
    const waiting = service.wait.choose();
    await waitFor('the call', async () => (await service.started.call()).includes(1));
    const points = await collect();
    const values = (name: string): unknown[] =>
      points.get(`forge.service.${name}`)!.map(({ attributes, value }) => [attributes.replica, value]);
    const { replicas } = service.metrics();
    expect(points.get('forge.service.requests')![0]!.attributes).toEqual({ service: 'counters', replica: 0 });
    expect(values('requests')).toEqual(replicas.map(({ totalRequests }, index) => [index, totalRequests]));
    expect(values('failures').map((point) => (point as number[])[1])).toEqual(
      replicas.map(({ failedRequests }) => failedRequests),
    );
    expect(replicas[0]!.failedRequests + replicas[1]!.failedRequests).toBe(1);
    expect(
      [values('active'), values('utilization')].map((each) => each.map((p) => (p as number[])[1])),
    ).toEqual([
      replicas.map(({ activeRequests }) => activeRequests),
      replicas.map(({ activeRequests }) => activeRequests / 2),
    ]);
    expect(values('replicas')).toEqual([[undefined, 2]]);
    for (const name of ['queue_depth', 'sessions', 'restarts'])
      expect(values(name)).toEqual([
        [0, 0],
        [1, 0],
      ]);
    const latencies = points.get('forge.service.latency')! as DataPoint<Histogram>[];
    expect(latencies.find(({ attributes }) => attributes.endpoint === 'add')).toMatchObject({
      attributes: { service: 'counters', endpoint: 'add' },
      value: { count: 2 },
    });
    expect(latencies.find(({ attributes }) => attributes.endpoint === 'refuse')).toMatchObject({
      attributes: { service: 'counters', endpoint: 'refuse', 'error.type': 'CAPACITY_EXCEEDED' },
      value: { count: 1 },
    });
    await service.release.call();
    await waiting;
    await service.shutdown();
    expect((await collect()).get('forge.service.replicas') ?? []).toEqual([]);
  });
});
