import type { Completion, Sample, Sampling } from '@forge/contracts';
import { createEngine } from '@forge/engine';
import { Generator, type LoadedModel } from '@forge/model';

export interface LocalGenerator {
  /** One completion of each sample. */
  complete(samples: readonly Sample[], sampling: Sampling, seed: number): Promise<Completion[]>;
  close(): Promise<void>;
}

const MAX_BATCH = 256;
const CHUNK = 16;

/** Generates in this process, without services. */
export async function localGenerator(
  model: Omit<LoadedModel, 'dir'>,
  threads: number,
): Promise<LocalGenerator> {
  const { config, parameters, tokenizer } = model;
  const generator = await Generator.create({
    engine: createEngine({ threads }),
    config,
    parameters,
    version: 0,
    endTokenIds: tokenizer.endTokenIds,
    maxBatch: MAX_BATCH,
    chunk: CHUNK,
    // Unpacked weights on several threads would tie results to the batch.
    weightMode: threads === 1 ? 'inputs' : 'initializers',
    decodeText: (ids, options) => tokenizer.decode(ids, options),
    specialTokens: tokenizer.specialTokens,
  });
  return {
    complete: (samples, sampling, seed) =>
      Promise.all(
        samples.map(async ({ id, prompt }) => {
          const promptTokenIds = tokenizer.renderPrompt(prompt).tokenIds;
          const [completion] = await generator.generate({ promptTokenIds, rolloutIds: [id], seed, sampling });
          return completion!;
        }),
      ),
    close: () => generator.close(),
  };
}
