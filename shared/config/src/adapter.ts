import { z } from 'zod';

/** Linear layers of a decoder that an adapter may change, by their names in Hugging Face checkpoints. */
export const ADAPTER_TARGETS = [
  'q_proj',
  'k_proj',
  'v_proj',
  'o_proj',
  'gate_proj',
  'up_proj',
  'down_proj',
] as const;

const target = z.enum(ADAPTER_TARGETS);

/** A low-rank adapter (LoRA): defaults are those of the cookbooks for reinforcement learning. */
export const adapterSchema = z
  .strictObject({
    rank: z.int().min(1).max(256).default(16).describe('width of the update; 1 may be enough'),
    alpha: z.number().gt(0).max(4096).default(32).describe('the update is multiplied by alpha / rank'),
    targets: z
      .array(target)
      .min(1)
      .default([...ADAPTER_TARGETS])
      .refine((names) => new Set(names).size === names.length, 'each layer once')
      .describe('linear layers that have one; all unless given'),
    dropout: z
      .number()
      .refine((share) => share === 0, {
        error: '0: with dropout the trainer would find other log-probs than the policy that sampled',
      })
      .default(0)
      .describe('none: the policy samples with what the trainer trains'),
  })
  .describe('trains a low-rank adapter (LoRA) beside the frozen model, in place of all its weights');

/** Shape of an adapter, with every default filled in. */
export type AdapterConfig = z.output<typeof adapterSchema>;

/** The adapter as actors take it, with the seed of its fresh factors. */
export const seededAdapterSchema = adapterSchema.extend({ seed: z.int().min(0).max(0xffff_ffff).default(1) });

export type SeededAdapter = z.output<typeof seededAdapterSchema>;
