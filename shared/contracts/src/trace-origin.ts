import { z } from 'zod';

/**
 * W3C trace context: a trace, a span of it, and flags: 1 when its spans are exported, 3 when they are kept with the
 * run, too.
 */
export const traceparentSchema = z.string().regex(/^00-[0-9a-f]{32}-[0-9a-f]{16}-0[13]$/);

/** Begin of the trace of a rollout, which travels with it; a rollout without one is not traced. */
export const traceOriginSchema = z.strictObject({
  /** Root span. */
  traceparent: traceparentSchema,
  /** Begin of the root span, in milliseconds since the epoch. */
  admittedAtMs: z.number().min(0),
});

export type TraceOrigin = z.infer<typeof traceOriginSchema>;
