// Speed of one engine on one device, for npm run test:gpu: proof, generation and a train step of a model with random
// weights. Arguments: options of the engine and the shape of the model, as JSON; the result is the last line.
const { join } = require('node:path');
const { createRequire } = require('node:module');

const [options, shape] = process.argv.slice(2).map((text) => JSON.parse(text));
const load = createRequire(join(__dirname, '..', '..', 'bench', 'x.js'));
const { createEngine } = load('@forge/engine');
const { Generator, initializeParameters, proveEngine, TrainStep } = load('@forge/model');
const { grpoLoss } = load('@forge/rl');

const config = {
  ...{ architecture: 'qwen3', maxPositions: 1024, rmsNormEpsilon: 1e-6, initializerRange: 0.02 },
  ...{ attentionBias: false, attentionOutputBias: false, mlpBias: false, qkNorm: true },
  ...{ rope: { theta: 1e6, scaling: { type: 'none' } }, tieWordEmbeddings: true },
  ...shape.config,
};
const { rows, tokens } = shape;

const seconds = async (work) => {
  const startedAt = performance.now();
  await work();
  return (performance.now() - startedAt) / 1000;
};

async function main() {
  const engine = createEngine(options);
  const proofSeconds = await seconds(() => proveEngine(engine));
  const parameters = initializeParameters(config, 1);
  const size = [...parameters.values()].reduce((sum, { data }) => sum + data.length, 0);

  const generator = await Generator.create({
    ...{ engine, config, parameters, version: 0, endTokenIds: [], maxBatch: rows, chunk: 16 },
    ...{ weightMode: 'initializers', decodeText: String },
  });
  const sampling = { maxTokens: tokens, temperature: 1, topK: 0, topP: 1, stop: [] };
  const generate = (seed) =>
    generator.generate({
      ...{ promptTokenIds: [1, 2, 3, 4], seed, sampling },
      rolloutIds: Array.from({ length: rows }, (_, i) => String(i)),
    });
  const firstGeneration = await seconds(() => generate(1));
  const generation = await seconds(() => generate(2));
  await generator.close();

  const step = await TrainStep.create({
    ...{ engine, config, parameters, loss: grpoLoss(), temperature: 1, recompute: false },
    ...{ microBatchTokens: rows * tokens, logitsChunk: 512 },
    optimizer: {
      ...{ learningRate: 1e-6, schedule: 'constant', warmupSteps: 0, totalSteps: 10, betas: [0.9, 0.95] },
      ...{ epsilon: 1e-8, weightDecay: 0, maxGradientNorm: 1 },
    },
  });
  const episodes = Array.from({ length: rows }, (_, row) => {
    const mask = Array.from({ length: tokens }, (_, t) => (t < 4 ? 0 : 1));
    return {
      ...{ mask, advantage: row % 2 === 0 ? 1 : -1, versions: mask.map((m) => m - 1) },
      tokenIds: mask.map((_, t) => (row * 7919 + t * 104_729) % config.vocabSize),
      logprobs: mask.map((m) => -m * Math.log(config.vocabSize)),
    };
  });
  const firstStep = await seconds(() => step.step(episodes));
  const trained = await seconds(() => step.step(episodes));
  await step.close();

  const trainTokens = (rows * tokens) / trained;
  const result = {
    ...{ proofSeconds, parameters: size, firstGeneration, firstStep },
    generatedPerSecond: (rows * tokens) / generation,
    trainedPerSecond: trainTokens,
    teraflops: (6 * size * trainTokens) / 1e12,
    hostGigabytes: process.resourceUsage().maxRSS / 2 ** 20,
  };
  process.stdout.write(`\n${JSON.stringify(result)}\n`, () => process.exit(0));
}

main().catch((error) => {
  process.stdout.write(
    `\n${JSON.stringify({ error: `${error.code ?? ''} ${error.message}`.trim() })}\n`,
    () => process.exit(1),
  );
});
