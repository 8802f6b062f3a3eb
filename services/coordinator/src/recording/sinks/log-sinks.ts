import { appendFile } from 'node:fs/promises';
import type { Logger } from '@forge/telemetry';
import type { MetricSink, SinkRow } from './metric-sink';

/** Every row as a line of the coordinator's log, which is what its container shows. */
export function consoleSink(logger: Pick<Logger, 'info'>): MetricSink {
  return {
    name: 'console',
    write: (rows) => {
      for (const { step, values } of rows) logger.info({ step, metrics: values }, 'metrics');
      return Promise.resolve();
    },
    close: () => Promise.resolve(),
  };
}

/** Every row as a line of a file: `step`, `time` in ISO 8601, and its values. */
export function jsonlSink(path: string): MetricSink {
  const line = ({ step, atMs, values }: SinkRow): string =>
    `${JSON.stringify({ step, time: new Date(atMs).toISOString(), ...values })}\n`;
  return {
    name: 'jsonl',
    write: (rows) => appendFile(path, rows.map(line).join('')),
    close: () => Promise.resolve(),
  };
}
