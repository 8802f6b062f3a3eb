import { readFileSync, writeFileSync } from 'node:fs';
import { createEngine } from '@forge/engine';
import { grpoLoss } from '@forge/rl';
import { missingTensorflow } from '@forge/testing';
import { tiny } from '../generation/generator.fixture';
import { initializeParameters } from '../hugging-face/initialize';
import { TrainStep } from './train-step';

const missing = missingTensorflow();
if (missing !== null) process.stderr.write(`skipped: ${missing}\n`);

const LAYERS = 12;
const TOKENS = 256;
const ROWS = 8;
const config = { ...tiny, layers: LAYERS, maxPositions: TOKENS, intermediateSize: 512 };

/** Mebibytes by which a step raises the memory of this process at its peak. */
async function growthMib(recompute: boolean): Promise<number> {
  const step = await TrainStep.create({
    ...{ engine: createEngine({ engine: 'tensorflow', threads: 2 }), config, recompute },
    ...{ parameters: initializeParameters(config, 1), microBatchTokens: ROWS * TOKENS, logitsChunk: 512 },
    ...{ loss: grpoLoss({ clipEpsilon: 0.2, klCoefficient: 0 }), temperature: 1 },
    optimizer: {
      ...{ learningRate: 0.01, schedule: 'constant', warmupSteps: 0, totalSteps: 10 },
      ...{ betas: [0.9, 0.95], epsilon: 1e-3, weightDecay: 0, maxGradientNorm: 1 },
    },
  });
  const along = (value: (t: number) => number): number[] =>
    Array.from({ length: TOKENS }, (_, t) => value(t));
  const episodes = Array.from({ length: ROWS }, (_, row) => ({
    tokenIds: along((t) => (3 * t + 5 * row) % config.vocabSize),
    mask: along((t) => Number(t > 0)),
    logprobs: along((t) => (t > 0 ? -2.4 : 0)),
    versions: along((t) => (t > 0 ? 0 : -1)),
    advantage: row % 2 === 0 ? 1 : -1,
  }));
  const memory = (field: string): number =>
    Number(new RegExp(`${field}:\\s+(\\d+)`).exec(readFileSync('/proc/self/status', 'utf8'))![1]) / 1024;
  writeFileSync('/proc/self/clear_refs', '5');
  const before = memory('VmRSS');
  await step.step(episodes);
  const growth = memory('VmHWM') - before;
  await step.close();
  return growth;
}

(missing === null ? describe : describe.skip)('a train step on TensorFlow', () => {
  /** Memory that a layer keeps without recompute, by the formula of docs/engines.md. */
  const { hiddenSize, heads, kvHeads, headDim, intermediateSize } = config;
  const widths = hiddenSize + heads * headDim + kvHeads * headDim + intermediateSize;
  const layerMib = (4 * ROWS * TOKENS * (2 * widths + heads * TOKENS)) / 2 ** 20;

  it('keeps of a layer its products, softmax and norms, and next to nothing with recompute', async () => {
    const again = await growthMib(true);
    const kept = await growthMib(false);
    expect(again).toBeLessThan(6 * layerMib);
    // Pages that the process had at hand from before don't count as growth.
    expect(kept).toBeGreaterThan(again);
    expect(kept).toBeLessThan((LAYERS + 4) * layerMib);
  });
});
