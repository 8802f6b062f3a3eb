import { samplingSchema } from '@forge/contracts';
import { createEngine, type Engine } from '@forge/engine';
import { Generator, initializeParameters, type ModelConfig } from '@forge/model';

const BATCH = 32;
const TOKENS = 128;
const THREADS = 2;
const CHUNK = 32;
const ROUNDS = 3;

/** 3.4 M parameters. */
const config: ModelConfig = {
  architecture: 'llama',
  hiddenSize: 256,
  layers: 4,
  heads: 8,
  kvHeads: 8,
  headDim: 32,
  intermediateSize: 704,
  vocabSize: 768,
  maxPositions: 256,
  rmsNormEpsilon: 1e-5,
  rope: { theta: 10_000, scaling: { type: 'none' } },
  tieWordEmbeddings: true,
  attentionBias: false,
  attentionOutputBias: false,
  mlpBias: false,
  qkNorm: false,
  initializerRange: 0.02,
};

const promptTokenIds = [1, 2, 3, 4, 5, 6, 7, 8];
const sampling = samplingSchema.parse({ maxTokens: TOKENS });

async function generatorWith(engine: Engine, chunk: number): Promise<Generator> {
  const parameters = initializeParameters(config, 1);
  const common = {
    version: 0,
    endTokenIds: [],
    maxBatch: BATCH,
    weightMode: 'initializers',
    decodeText: String,
  } as const;
  return Generator.create({ ...common, engine, config, parameters, chunk });
}

async function tokensPerSecond(generator: Generator): Promise<number> {
  const rolloutIds = Array.from({ length: BATCH }, (_, i) => `r-${i}`);
  const startedAt = performance.now();
  const completions = await generator.generate({ promptTokenIds, rolloutIds, seed: 1, sampling });
  const tokens = completions.reduce((sum, { tokenIds }) => sum + tokenIds.length, 0);
  return (1000 * tokens) / (performance.now() - startedAt);
}

/**
 * Decoding in chunks, with the loop and the sampling in the graph, against one engine run per token that takes the
 * whole cache in and gives its growth back; the same model, prompts and sampling. The target is twice the speed.
 */
export async function run(): Promise<void> {
  const engine = createEngine({ threads: THREADS });
  const chunked = await generatorWith(engine, CHUNK);
  const single = await generatorWith(engine, 1);
  const parameters = [...initializeParameters(config, 1).values()].reduce(
    (sum, { data }) => sum + data.length,
    0,
  );
  console.log(
    `${(parameters / 1e6).toFixed(1)} M parameters, batch ${BATCH}, ${TOKENS} tokens, ${THREADS} threads`,
  );
  const speeds: { chunked: number; single: number }[] = [];
  // The first round warms up; the rounds alternate, so that both meet the same load of the machine.
  for (let round = 0; round <= ROUNDS; round++) {
    const pair = { single: await tokensPerSecond(single), chunked: await tokensPerSecond(chunked) };
    if (round > 0) speeds.push(pair);
  }
  const median = (values: number[]): number => values.sort((a, b) => a - b)[values.length >> 1]!;
  const [fast, slow] = [
    median(speeds.map((pair) => pair.chunked)),
    median(speeds.map((pair) => pair.single)),
  ];
  console.log(`one run per token:            ${slow.toFixed(0)} tokens/s`);
  console.log(`one run per ${CHUNK} tokens:        ${fast.toFixed(0)} tokens/s`);
  console.log(`ratio (median of ${ROUNDS} rounds):   ${(fast / slow).toFixed(2)} (target: at least 2)`);
  await Promise.all([chunked.close(), single.close()]);
}
