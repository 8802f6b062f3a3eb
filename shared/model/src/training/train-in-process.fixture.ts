import { createEngine } from '@forge/engine';
import { parametersHash, readTensors } from '@forge/weights';
import { initializeParameters } from '../hugging-face/initialize';
import type { ModelConfig } from '../transformer/model-config';
import { supervisedEpisode, supervisedLoss } from './supervised';
import { TrainStep } from './train-step';

const config: ModelConfig = {
  ...{ architecture: 'llama', hiddenSize: 64, layers: 2, heads: 4, kvHeads: 2, headDim: 16 },
  ...{ intermediateSize: 128, vocabSize: 2048, maxPositions: 256, rmsNormEpsilon: 1e-5 },
  rope: { theta: 100, scaling: { type: 'none' } },
  ...{ tieWordEmbeddings: true, attentionBias: false, attentionOutputBias: false, mlpBias: false },
  ...{ qkNorm: false, initializerRange: 0.02 },
};

/** Two steps on 64 episodes of 127 predicted tokens, on TensorFlow; what became of them, as JSON. */
async function main(microBatchTokens: number): Promise<void> {
  const step = await TrainStep.create({
    engine: createEngine({ engine: 'tensorflow', threads: 2 }),
    config,
    parameters: initializeParameters(config, 1),
    loss: supervisedLoss,
    temperature: 1,
    ...{ logitsChunk: 1024, recompute: false, microBatchTokens },
    optimizer: {
      ...{ learningRate: 0.01, schedule: 'constant', warmupSteps: 0, totalSteps: 10 },
      ...{ betas: [0.9, 0.95], epsilon: 1e-2, weightDecay: 0, maxGradientNorm: 1 },
    },
  });
  const answer = (row: number): number[] =>
    Array.from({ length: 126 }, (_, t) => (row * 31 + t * 7) % config.vocabSize);
  const episodes = Array.from({ length: 64 }, (_, row) => supervisedEpisode([row, 1], answer(row)));
  const smaller = [];
  for (let i = 0; i < 2; i++) smaller.push((await step.step(episodes)).smallerMicroBatches);
  const hash = parametersHash(await readTensors(step.parameters()));
  process.stdout.write(JSON.stringify({ smaller, hash }));
}

main(Number(process.argv[2])).catch((error: unknown) => {
  process.stdout.write(JSON.stringify({ failed: (error as Error).message }));
});
