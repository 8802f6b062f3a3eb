import type { Completion, Sample, Sampling } from '@forge/contracts';
import { engineFor, Generator, type AskedEngine, type LoadedModel } from '@forge/model';

export interface LocalGenerator {
  /** One completion of each sample. */
  complete(samples: readonly Sample[], sampling: Sampling, seed: number): Promise<Completion[]>;
  close(): Promise<void>;
}

const MAX_BATCH = 256;
const CHUNK = 16;
const PREFIX_CACHE_BYTES = 256 * 2 ** 20;

/** Generates in this process, without services, by the engine that `field` asks for. */
export async function localGenerator(
  model: Omit<LoadedModel, 'dir'>,
  asked: AskedEngine,
  field: string,
): Promise<LocalGenerator> {
  const { config, parameters, tokenizer } = model;
  const generator = await Generator.create({
    engine: await engineFor(asked, 'generation', config, field),
    config,
    parameters,
    version: 0,
    endTokenIds: tokenizer.endTokenIds,
    maxBatch: MAX_BATCH,
    chunk: CHUNK,
    prefixCacheBytes: PREFIX_CACHE_BYTES,
    // Unpacked weights on several threads would tie results to the batch.
    weightMode: asked.threads === 1 ? 'inputs' : 'initializers',
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
