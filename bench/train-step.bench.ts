import { createEngine, type Engine } from '@forge/engine';
import { Graph, matmul, reduceMax } from '@forge/graph';
import { initializeParameters, TrainStep, type ModelConfig, type TrainEpisode } from '@forge/model';
import { grpoLoss } from '@forge/rl';

const THREADS = 2;
const ROUNDS = 5;

const model = (shape: Partial<ModelConfig>): ModelConfig => ({
  architecture: 'llama',
  hiddenSize: 512,
  layers: 8,
  heads: 8,
  kvHeads: 8,
  headDim: 64,
  intermediateSize: 1536,
  vocabSize: 4096,
  maxPositions: 512,
  rmsNormEpsilon: 1e-5,
  rope: { theta: 10_000, scaling: { type: 'none' } },
  tieWordEmbeddings: false,
  attentionBias: false,
  attentionOutputBias: false,
  mlpBias: false,
  qkNorm: false,
  initializerRange: 0.02,
  ...shape,
});

const CASES = [
  {
    name: '31 M parameters (29.4 M counted), 32 sequences x 128 tokens',
    config: model({}),
    count: 32,
    lengths: [129],
    prompt: 1,
  },
  {
    name: '0.5 M parameters, 256 sequences x 10-14 tokens of which 4 are trained',
    config: model({
      hiddenSize: 128,
      layers: 3,
      heads: 4,
      kvHeads: 4,
      headDim: 32,
      intermediateSize: 256,
      vocabSize: 20,
      tieWordEmbeddings: true,
    }),
    count: 256,
    lengths: [10, 11, 12, 13, 14],
    prompt: -4,
  },
];

/** Episodes of the given lengths in turn; all tokens behind the prompt are trained (negative: that many at the end). */
function episodesOf(
  count: number,
  lengths: readonly number[],
  prompt: number,
  vocabSize: number,
): TrainEpisode[] {
  return Array.from({ length: count }, (_, row) => {
    const length = lengths[row % lengths.length]!;
    const start = prompt < 0 ? length + prompt : prompt;
    const mask = Array.from({ length }, (_t, t): 0 | 1 => (t < start ? 0 : 1));
    return {
      tokenIds: mask.map((_m, t) => (row * 7919 + t * 104_729) % vocabSize),
      mask,
      logprobs: mask.map((m) => -m * Math.log(vocabSize)),
      versions: mask.map((m) => m - 1),
      advantage: row % 2 === 0 ? 1 : -1,
    };
  });
}

/** Runs one 1024 x 1024 x 1024 product of two inputs; only its maximum leaves the program. */
async function plainProduct(engine: Engine): Promise<() => Promise<void>> {
  const size = 1024;
  const graph = new Graph();
  const [a, b] = [graph.input('a', 'float32', [size, size]), graph.input('b', 'float32', [size, size])];
  const program = await engine.compile({ largest: reduceMax(matmul(a, b), [0, 1]) });
  const data = Float32Array.from({ length: size * size }, (_, i) => (i % 7) - 3);
  const feed = { dtype: 'float32', shape: [size, size], data } as const;
  return async () => {
    await program.run({ a: feed, b: feed });
  };
}

async function milliseconds(work: () => Promise<unknown>, times: number): Promise<number> {
  const startedAt = performance.now();
  for (let i = 0; i < times; i++) await work();
  return (performance.now() - startedAt) / times;
}

const median = (values: readonly number[]): number => [...values].sort((a, b) => a - b)[values.length >> 1]!;

/**
 * The floating-point rate of a whole train step (graph, gradient copies, norm, AdamW) over that of a plain product on
 * the same engine. A step counts as 6 x N x T operations: N parameters without the embedding look-up but with the LM
 * head, T predicted tokens without padding. Attention, recomputed logits and the optimizer are not counted.
 */
export async function run(): Promise<void> {
  const engine = createEngine({ threads: THREADS });
  const product = await plainProduct(engine);
  await milliseconds(product, 5);
  for (const { name, config, count, lengths, prompt } of CASES) {
    const parameters = initializeParameters(config, 1);
    const step = await TrainStep.create({
      engine,
      config,
      parameters,
      loss: grpoLoss({ clipEpsilon: 0.2, klCoefficient: 0 }),
      temperature: 1,
      optimizer: {
        learningRate: 1e-4,
        schedule: 'constant',
        warmupSteps: 0,
        totalSteps: ROUNDS,
        betas: [0.9, 0.95],
        epsilon: 1e-8,
        weightDecay: 0,
        maxGradientNorm: 1,
      },
      microBatchTokens: 4096,
      logitsChunk: 512,
      recompute: false,
    });
    const episodes = episodesOf(count, lengths, prompt, config.vocabSize);
    const tokens = episodes.reduce((sum, { tokenIds }) => sum + tokenIds.length - 1, 0);
    const weights = [...parameters].reduce(
      (sum, [key, { data }]) =>
        key === 'model.embed_tokens.weight' && !config.tieWordEmbeddings ? sum : sum + data.length,
      0,
    );
    const rounds: { stepMs: number; rate: number; ratio: number }[] = [];
    await step.step(episodes);
    for (let round = 0; round < ROUNDS; round++) {
      // The product is timed on both sides of the step: the machine's speed drifts.
      const before = await milliseconds(product, 5);
      const stepMs = await milliseconds(() => step.step(episodes), count > 100 ? 5 : 1);
      const productMs = (before + (await milliseconds(product, 5))) / 2;
      const [rate, plain] = [(6 * weights * tokens) / stepMs / 1e6, (2 * 1024 ** 3) / productMs / 1e6];
      rounds.push({ stepMs, rate, ratio: rate / plain });
    }
    const of = (key: 'stepMs' | 'rate' | 'ratio'): number => median(rounds.map((round) => round[key]));
    console.log(`${name}: ${of('stepMs').toFixed(0)} ms a step, ${of('rate').toFixed(0)} GFLOP/s`);
    console.log(
      `  ${(100 * of('ratio')).toFixed(0)} % of a plain 1024^3 MatMul, ${THREADS} threads (rounds: ${rounds
        .map(({ ratio }) => (100 * ratio).toFixed(0))
        .join(', ')}; target 60 % at 30 M)`,
    );
    await step.close();
  }
}
