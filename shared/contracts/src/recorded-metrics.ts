import { z } from 'zod';
import { atMost } from './bounded';

/** Rules by which the values of a key become one. */
export const reduceSchema = z.enum(['mean', 'sum', 'max', 'min', 'std']);

const count = z.int().min(0);
/** Names of one process. */
const MAX_NAMES = 1_000;
const name = z.string().min(1).max(256);

function isSmall(value: unknown): boolean {
  return typeof value !== 'object' || value === null || Object.keys(value).length <= MAX_NAMES;
}

/** Summary of the values of one key, which merges with others exactly. */
export const metricStateSchema = z.discriminatedUnion('reduce', [
  z.strictObject({ reduce: z.literal('mean'), sum: z.number(), count }),
  z.strictObject({ reduce: z.literal('sum'), total: z.number() }),
  z.strictObject({ reduce: z.literal('max'), value: z.number() }),
  z.strictObject({ reduce: z.literal('min'), value: z.number() }),
  z.strictObject({ reduce: z.literal('std'), sum: z.number(), sumOfSquares: z.number(), count }),
]);

/** Metrics that one process recorded for a while. */
export const metricReportSchema = z.strictObject({
  /** Recorder below the process that hands it on; empty: that process itself. */
  rank: z.string().max(256),
  states: z
    .custom<Record<string, z.input<typeof metricStateSchema>>>(isSmall, {
      error: `expected at most ${MAX_NAMES} metrics`,
      abort: true,
    })
    .pipe(z.record(name, metricStateSchema)),
  /** Single values as they came, the first of many: key, value, milliseconds since the epoch. */
  values: atMost(1_000, z.tuple([name, z.number(), z.number()])),
});

export type Reduction = z.infer<typeof reduceSchema>;
export type MetricState = z.infer<typeof metricStateSchema>;
export type MetricReport = z.infer<typeof metricReportSchema>;
