import { z } from 'zod';
import { generationEngine } from './generation-server';
import { engineFields } from './sections';

/** The engine that generates, as recipes and the Policy actor share it. */
export const workerFields = {
  ...engineFields,
  engine: generationEngine,
  maxBatch: z.int().min(1).max(4096).default(64).describe('sequences decoded together by one replica'),
  chunk: z.int().min(1).max(1024).default(16).describe('tokens decoded per engine run'),
  prefixCacheMb: z
    .int()
    .min(0)
    .max(1_048_576)
    .default(256)
    .describe(
      'keys and values one replica keeps of prompts, for those that begin alike: turns of a conversation, a system prompt; 0 keeps none',
    ),
  weights: z
    .enum(['auto', 'initializers', 'inputs'])
    .default('auto')
    .describe('weights baked into the decoding graph (faster), or passed in (quicker to swap)'),
  refreshCache: z
    .boolean()
    .default(false)
    .describe('recompute the key-value cache of running sequences when new weights arrive'),
};

/** The engine that scores given sequences, as recipes and the ReferenceModel actor share it. */
export const scorerFields = {
  ...engineFields,
  maxBatchTokens: z.int().min(16).default(16_384).describe('padded tokens of one forward pass'),
};
