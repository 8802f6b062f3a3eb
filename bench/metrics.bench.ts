import { createServer } from 'node:http';
import { once } from 'node:events';
import type { AddressInfo } from 'node:net';
import { ActivityClock, MetricCollector, Metering, Reduce } from '@forge/telemetry';

const CALLS = 200_000;
const KEYS = ['user/a', 'user/b', 'user/c', 'user/d'];
const ROUNDS = 7;
const SCRAPES = 50;

const median = (values: number[]): number => values.sort((a, b) => a - b)[values.length >> 1]!;

/** Nanoseconds of a call, as the median of rounds. */
function nanoseconds(round: () => void): number {
  const times = Array.from({ length: ROUNDS + 1 }, () => {
    const startedAt = performance.now();
    round();
    return (1e6 * (performance.now() - startedAt)) / CALLS;
  });
  return median(times.slice(1));
}

/**
 * Cost of metrics: a recorded value and an activity against adding to a plain map, and a scrape. Values are taken twice
 * a second in a run; here every thousand calls.
 */
export async function run(): Promise<void> {
  const plain = new Map<string, { sum: number; count: number }>();
  const map = nanoseconds(() => {
    for (let i = 0; i < CALLS; i++) {
      const key = KEYS[i % KEYS.length]!;
      const { sum, count } = plain.get(key) ?? { sum: 0, count: 0 };
      plain.set(key, { sum: sum + i, count: count + 1 });
    }
  });
  const collector = new MetricCollector(Date.now, () => undefined);
  const record = nanoseconds(() => {
    for (let i = 0; i < CALLS; i++) {
      collector.record(KEYS[i % KEYS.length]!, i, Reduce.MEAN);
      if (i % 1000 === 0) collector.take();
    }
  });
  const clock = new ActivityClock(['busy', 'waits/reward']);
  const activity = nanoseconds(() => {
    for (let i = 0; i < CALLS; i++) clock.begin('busy')();
  });
  console.log(`plain map:      ${map.toFixed(0)} ns a value`);
  console.log(`recordMetric:   ${record.toFixed(0)} ns a value, ${(record / map).toFixed(1)} x the map`);
  console.log(`an activity:    ${activity.toFixed(0)} ns`);

  const before = process.memoryUsage().rss;
  const metering = new Metering({
    ...{ service: 'bench', replica: '0', runId: 'bench', warn: console.log },
    settings: { exporters: [], protocol: 'http/json', endpoint: '', intervalMs: 60_000, timeoutMs: 30_000 },
    metered: { totals: () => clock.totals(), recorded: collector },
  });
  const server = createServer((request, response) => {
    void metering.start().then(({ scrape }) => {
      scrape(request, response);
    });
  }).listen(0, '127.0.0.1');
  await once(server, 'listening');
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  const times: number[] = [];
  for (let i = 0; i <= SCRAPES; i++) {
    const startedAt = performance.now();
    await (await fetch(url)).text();
    times.push(performance.now() - startedAt);
  }
  const [first = 0, ...others] = times;
  const grown = (process.memoryUsage().rss - before) / 2 ** 20;
  console.log(`first scrape:   ${first.toFixed(0)} ms, which loads the SDK; ${grown.toFixed(0)} MiB`);
  console.log(`a scrape:       ${median(others).toFixed(1)} ms`);
  server.closeAllConnections();
  server.close();
  await metering.stop();
}
