import { z } from 'zod';
import { messageVersion } from './schema-version';
import { traceparentSchema } from './trace-origin';

const sha256 = z.string().length(64);
const count = z.int().min(0);
/** Versions that the tokens of one sequence may come from at most. */
const MAX_VERSIONS = 4_096;

const CANARY_TOKENS = 64;

/**
 * Tokens with the log-probs that the trainer finds for all but the first of them under a version, by which a policy proves
 * that it generates with that version.
 */
export const canarySchema = z.strictObject({
  tokenIds: z.array(count).min(2).max(CANARY_TOKENS),
  /** Log-probs are those of logits / temperature. */
  temperature: z.number().gt(0),
  logprobs: z
    .array(z.number())
    .min(1)
    .max(CANARY_TOKENS - 1),
  /** Largest difference that is rounding. */
  tolerance: z.number().gt(0),
});

/** Entry of the `weights` stream: a version whose blob is complete, verified and readable at `path`. */
export const weightsAnnouncementSchema = z.strictObject({
  schemaVersion: messageVersion('weightsAnnouncement'),
  version: count,
  /** The trainer incarnation that published it. */
  epoch: count,
  path: z.string().min(1),
  sizeBytes: z.int().min(1),
  sha256,
  canary: canarySchema.optional(),
  /** Trace of the step that made it. */
  traceparent: traceparentSchema.optional(),
});

/** Origin of a version: its parent and its batch. */
export const weightsOriginSchema = z.strictObject({
  /** The version it was trained from, or went back to; null: a run starts from it. */
  parent: z.strictObject({ version: count, sha256 }).nullable(),
  /** The step that made it, and the groups in its batch; null: no step did. */
  trained: z.strictObject({ step: count, groups: z.array(count) }).nullable(),
});

/** Describes a published version: beside the blobs, as `v<version>-e<epoch>.json`. */
export const weightsManifestSchema = weightsOriginSchema.extend({
  schemaVersion: messageVersion('weightsManifest'),
  version: count,
  epoch: count,
  /** Hash of the blob, which is named by it. */
  sha256,
  sizeBytes: z.int().min(1),
  /** Places of the tensors in the blob. */
  tensors: z.array(
    z.strictObject({
      name: z.string(),
      dtype: z.enum(['F32', 'F16', 'BF16']),
      shape: z.array(count).readonly(),
      /** First byte, from the start of the blob. */
      offset: count,
      sizeBytes: count,
    }),
  ),
});

function isHashes(value: unknown): boolean {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return false;
  const entries = Object.entries(value);
  const fits = ([version, hash]: [string, unknown]): boolean =>
    /^\d{1,15}$/.test(version) && typeof hash === 'string' && hash.length === 64;
  return entries.length <= MAX_VERSIONS && entries.every(fits);
}

/** Hashes of the weights that produced tokens, by policy version. */
export const weightHashesSchema = z
  .custom<Record<string, string>>(isHashes, { error: 'expected hashes of 64 characters by version' })
  .meta({
    type: 'object',
    propertyNames: { pattern: '^[0-9]{1,15}$' },
    additionalProperties: { type: 'string', minLength: 64, maxLength: 64 },
    maxProperties: MAX_VERSIONS,
  });

export type WeightsAnnouncement = z.infer<typeof weightsAnnouncementSchema>;
export type Canary = z.infer<typeof canarySchema>;
export type WeightsOrigin = z.infer<typeof weightsOriginSchema>;
export type WeightsManifest = z.infer<typeof weightsManifestSchema>;
export type WeightHashes = z.infer<typeof weightHashesSchema>;
