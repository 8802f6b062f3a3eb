import { BroadcastChannel, isMainThread } from 'node:worker_threads';
import type { MetricReport } from '@forge/contracts';
import { MetricCollector } from './metric-collector';
import { Reduce } from './metric-state';

/** Channel between the threads of a process; there is a collector in each. */
const CHANNEL = 'forge.metrics';
const FORWARD_MS = 100;
/** User code may come with a copy of this module: there is one collector for all of them. */
const COLLECTOR = Symbol.for('forge.metric-collector');
const holder = globalThis as { [COLLECTOR]?: MetricCollector };

/** Metrics of user code have names of their own. */
const USER = 'user/';

/**
 * Records a value under a key, from anywhere: a reward, a rollout, an actor, a worker thread. The values of all
 * processes are reduced to one for each optimizer step, which is `user/<key>` in `metrics.jsonl` and in the sinks.
 *
 * Never throws. A value that is not finite, a key that was recorded with another reduction before, or one too many is
 * left out, and a process warning says so once.
 */
export function recordMetric(key: string, value: number, reduce: Reduce = Reduce.MEAN): void {
  metricCollector().record(USER + key, value, reduce);
}

/** Records a value of a metric of METRICS in the same way. */
export function recordSystemMetric(key: string, value: number, reduce: Reduce = Reduce.MEAN): void {
  metricCollector().record(key, value, reduce);
}

/** Does `work` and records how long it took, in milliseconds; nothing when it fails. */
export async function timed<T>(key: string, work: () => Promise<T>): Promise<T> {
  const startedAt = performance.now();
  const result = await work();
  recordSystemMetric(key, performance.now() - startedAt);
  return result;
}

/** The collector of this thread; the main thread's has the recordings of the others since it was first asked for. */
export function metricCollector(): MetricCollector {
  return (holder[COLLECTOR] ??= createCollector());
}

function createCollector(): MetricCollector {
  const collector = new MetricCollector(
    () => Date.now(),
    (message) => process.emitWarning(message, 'ForgeMetricWarning'),
  );
  const channel = new BroadcastChannel(CHANNEL);
  channel.unref();
  if (isMainThread) {
    channel.onmessage = (event) => {
      const { data } = event as { data: MetricReport[] };
      for (const report of data) collector.merge(report);
    };
    return collector;
  }
  const forward = (): void => {
    const reports = collector.take();
    if (reports.length > 0) channel.postMessage(reports);
  };
  const soon = oncePer(FORWARD_MS, forward);
  collector.whenRecorded(soon);
  process.once('exit', forward);
  return collector;
}

/** Runs `act` soon after it was asked for, however often that is. */
export function oncePer(ms: number, act: () => void): () => void {
  let timer: NodeJS.Timeout | null = null;
  return () => {
    timer ??= setTimeout(() => {
      timer = null;
      act();
    }, ms).unref();
  };
}
