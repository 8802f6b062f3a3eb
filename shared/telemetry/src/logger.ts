import { trace } from '@opentelemetry/api';
import { pino, type Logger as PinoLogger } from 'pino';

/** Structured logging; the first argument holds the fields, the second the message. */
export type Logger = Pick<PinoLogger, 'debug' | 'info' | 'warn' | 'error' | 'fatal' | 'child' | 'flush'>;

export interface LoggerOptions {
  service: string;
  level: string;
  runId?: string;
  replica?: string;
  /** Destination of lines; standard output unless given. */
  destination?: { write(line: string): void };
}

/** Errors of ioredis carry their command, and for a refused login that has the password. */
const SECRET_FIELDS = ['err.command', 'password', '*.password', 'token', '*.token'];
const LOGIN_IN_URL = /([a-z]:\/\/)[^\s/"'@]*@/gi;

/**
 * One JSON object per line: `level` by name, `time` in ISO 8601, `service`, `runId`, `replica`, `msg`, and fields;
 * within a span `trace_id` and `span_id`. The user and password of an address are left out, and so are fields that hold
 * secrets; callers should log neither.
 */
export function createLogger({ service, level, runId, replica, destination }: LoggerOptions): Logger {
  const options = {
    level,
    base: { service, ...(runId !== undefined && { runId }), ...(replica !== undefined && { replica }) },
    timestamp: pino.stdTimeFunctions.isoTime,
    redact: { paths: SECRET_FIELDS, censor: '[secret]' },
    hooks: { streamWrite: (line: string) => line.replace(LOGIN_IN_URL, '$1') },
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
