// node train-step.cjs KIND ENGINE MATH_MODE THREADS [recompute]: a line of JSON with ms a step and the peak of memory.
const { setFlagsFromString } = require('node:v8');
const { runInNewContext } = require('node:vm');
const { createEngine } = require('@forge/engine');
const { TrainStep } = require('@forge/model');
const { grpoLoss } = require('@forge/rl');
const shapes = require('./shapes.json');
const { median, modelOf, peakMiB } = require('./model.cjs');

const [kind, engine, mathMode, threads, recompute] = process.argv.slice(2);
const { sequences, tokens, trained, steps } = shapes[kind];

/** The step, and nothing else that holds the parameters. */
function trainStepOf({ config, parameters }) {
  return TrainStep.create({
    engine: createEngine({ engine, mathMode, threads: Number(threads) }),
    ...{ config, parameters, loss: grpoLoss({ clipEpsilon: 0.2, klCoefficient: 0 }), temperature: 1 },
    optimizer: {
      ...{ learningRate: 1e-5, schedule: 'constant', warmupSteps: 0, totalSteps: 10 },
      ...{ betas: [0.9, 0.95], epsilon: 1e-8, weightDecay: 0, maxGradientNorm: 1 },
    },
    ...{ microBatchTokens: 4096, logitsChunk: 512, recompute: recompute === 'recompute' },
  });
}

async function main() {
  const step = await trainStepOf(modelOf(kind));
  // The parameters on the host are garbage now, which V8 would find much later.
  setFlagsFromString('--expose-gc');
  runInNewContext('gc')();
  const vocabulary = shapes[kind].model.vocab_size;
  const episodes = Array.from({ length: sequences }, (_, row) => {
    const mask = Array.from({ length: tokens + 1 }, (_, t) => (t < tokens + 1 - trained ? 0 : 1));
    return {
      tokenIds: mask.map((_, t) => (row * 7919 + t * 104_729) % vocabulary),
      mask,
      logprobs: mask.map((m) => -m * Math.log(vocabulary)),
      versions: mask.map((m) => m - 1),
      advantage: row % 2 === 0 ? 1 : -1,
    };
  });
  await step.step(episodes);
  const times = [];
  for (let i = 0; i < steps; i++) {
    const startedAt = performance.now();
    await step.step(episodes);
    times.push(performance.now() - startedAt);
  }
  console.log(JSON.stringify({ ms: median(times), peakMiB: peakMiB() }));
}

main().then(() => process.exit(0));
