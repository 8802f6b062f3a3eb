import { MetricCollector } from '../recording/metric-collector';
import { Metering } from './metering';

/** A process whose metrics are sent, every `argv[2]` ms, until it is told to end; it hands on its warnings. */
const intervalMs = Number(process.argv[2]);
const metering = new Metering({
  ...{ service: 'policy', replica: '1', runId: 'r' },
  settings: {
    exporters: ['otlp'],
    protocol: 'http/json',
    endpoint: 'there',
    intervalMs,
    timeoutMs: intervalMs,
  },
  metered: {
    totals: () => ({ busyMs: 1500 }),
    newest: () => ({ 'reward/mean': 0.5 }),
    recorded: new MetricCollector(Date.now, () => undefined),
  },
  warn: (message) => process.send?.(message),
});
process.once('message', () => {
  void metering.stop().then(() => {
    process.disconnect();
  });
});
