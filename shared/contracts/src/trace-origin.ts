import { z } from 'zod';

/**
 * As in W3C trace context: a trace, a span of it, and flags: 1 when its spans are exported, 3 when they are kept with the
 * run, too.
 */
export const traceparentSchema = z.string().regex(/^00-[0-9a-f]{32}-[0-9a-f]{16}-0[13]$/);

/** Where the trace of a rollout begins; it travels with the rollout. Left out: nothing of it is traced. */
export const traceOriginSchema = z.strictObject({
  /** Of the root span. */
  traceparent: traceparentSchema,
  /** Since the epoch: the root span begins then. */
  admittedAtMs: z.number().min(0),
});

export type TraceOrigin = z.infer<typeof traceOriginSchema>;
