import { trace } from '@opentelemetry/api';
import { pino, type Logger as PinoLogger } from 'pino';

/** Structured logging; the first argument holds the fields, the second the message. */
export type Logger = Pick<PinoLogger, 'debug' | 'info' | 'warn' | 'error' | 'fatal' | 'child' | 'flush'>;

export interface LoggerOptions {
  service: string;
  level: string;
  runId?: string;
  replica?: string;
  /** Where lines go; standard output unless given. */
  destination?: { write(line: string): void };
}

/**
 * One JSON object per line: `level` by name, `time` in ISO 8601, `service`, `runId`, `replica`, `msg`, and fields; within
 * a span `trace_id` and `span_id`.
 */
export function createLogger({ service, level, runId, replica, destination }: LoggerOptions): Logger {
  const options = {
    level,
    base: { service, ...(runId !== undefined && { runId }), ...(replica !== undefined && { replica }) },
    timestamp: pino.stdTimeFunctions.isoTime,
    formatters: { level: (label: string) => ({ level: label }) },
    mixin: activeIds,
  };
  // Synchronous writes: a process that is about to exit loses no line.
  return pino(options, destination ?? pino.destination({ fd: 1, sync: true }));
}

function activeIds(): object {
  const span = trace.getActiveSpan()?.spanContext();
  return span === undefined ? {} : { trace_id: span.traceId, span_id: span.spanId };
}
