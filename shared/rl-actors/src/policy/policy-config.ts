import { generationServer, seededAdapterSchema, workerFields, type GenerationServer } from '@forge/config';
import { samplingSchema } from '@forge/contracts';
import { ForgeError } from '@forge/errors';
import type { AskedEngine } from '@forge/model';
import { z } from 'zod';

const workerConfigSchema = z.strictObject({
  model: z.string().min(1).describe('directory of the model, or its name on the hub'),
  date: z.iso
    .date()
    .optional()
    .describe(
      'what chat templates that ask for the date are told, as YYYY-MM-DD; left out: they are refused',
    ),
  adapter: seededAdapterSchema.optional(),
  ...workerFields,
  scoring: z
    .strictObject({
      maxBatchTokens: z.int().min(16).default(16_384),
      logitsChunk: z.int().min(1).default(1024),
    })
    .prefault({})
    .describe('bounds the memory of the forward pass that checks recorded log-probs'),
});

const n = z.int().min(1).max(1024).default(1).describe('completions of one prompt');

/** How one prompt is answered: sampling, and how many times. */
export const promptSamplingSchema = samplingSchema.extend({ n });

export const policyConfigSchema = z.strictObject({
  worker: workerConfigSchema,
  sampling: promptSamplingSchema.prefault({}),
  seed: z.int().min(0).max(0xffff_ffff).default(1),
});

/** The engine that generates: the model, and how it is run. */
export type WorkerConfig = z.input<typeof workerConfigSchema>;
/** How a prompt is answered; what is left out is as the policy was configured. */
export type SamplingOverrides = z.input<typeof promptSamplingSchema>;
export type PolicyConfig = z.input<typeof policyConfigSchema>;
/** With every default filled in. */
export type PolicySettings = z.output<typeof policyConfigSchema>;

/** The server that generates; null where the worker does. */
export function servedBy({ engine }: Pick<PolicySettings['worker'], 'engine'>): GenerationServer | null {
  return generationServer(engine);
}

/** The engine of a worker that generates itself. */
export function ownEngine(worker: PolicySettings['worker']): AskedEngine {
  const { engine } = worker;
  if (typeof engine === 'string') return { ...worker, engine };
  throw new ForgeError('BUG_INVARIANT', 'a server generates, not this thread');
}
