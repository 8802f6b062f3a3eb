import { randomBytes } from 'node:crypto';
import type { IdGenerator } from '@opentelemetry/sdk-trace-base';
import type { TraceIds } from './trace-ids';

let next: TraceIds | null = null;

/** Runs code that starts one root span, which gets these ids. */
export function withRootIds<T>(ids: TraceIds, start: () => T): T {
  next = ids;
  try {
    return start();
  } finally {
    next = null;
  }
}

/** Random ids, but for the roots whose ids are known before. */
export class RootIds implements IdGenerator {
  generateTraceId(): string {
    return next?.traceId ?? randomHex(16);
  }

  generateSpanId(): string {
    return next?.spanId ?? randomHex(8);
  }
}

const POOL_BYTES = 4096;
let pool = '';
let at = 0;

/** Random bytes come in one call for many ids. */
function randomHex(bytes: number): string {
  if (at + 2 * bytes > pool.length) [pool, at] = [randomBytes(POOL_BYTES).toString('hex'), 0];
  return pool.slice(at, (at += 2 * bytes));
}
