import { z } from 'zod';

/*
 * What replicas say of themselves has no version: a field that a reader does not know is passed over.
 */

/** Calls that a replica made to one replica of another service, as it saw them. */
const callsMadeSchema = z.object({
  service: z.string(),
  replica: z.string(),
  requests: z.int(),
  failed: z.int(),
  p50Ms: z.number(),
  p99Ms: z.number(),
});

/** Field of a `replicas:<service>` hash, JSON: a live process, and where it answers. */
export const replicaSchema = z.object({
  service: z.string(),
  replica: z.string(),
  url: z.string(),
  pid: z.int(),
  isReady: z.boolean(),
  /** Where its actor answers calls, and the id it has there; null where it takes none. */
  answers: z.object({ address: z.string(), actor: z.string() }).nullable(),
  callsMade: z.array(callsMadeSchema),
  /** Server time of the last heartbeat, in ms. */
  seenAtMs: z.number(),
});

export type CallsMade = z.infer<typeof callsMadeSchema>;
export type Replica = z.infer<typeof replicaSchema>;
