import type { Recipe } from '@forge/config';
import { createEngine, type HostTensor } from '@forge/engine';
import { Graph, matmul } from '@forge/graph';
import type { ModelConfig } from '@forge/model';
import type { Speed } from './time-plan';

const PROBE_MS = 500;
/** Rows, and widths, of a product beyond which more do not make it faster. */
const MANY_ROWS = 512;
const WIDE = 4096;

/** The rates of a model's largest product on this machine, with the engine and threads of trainer and policy. */
export async function probeSpeed(recipe: Recipe, config: ModelConfig): Promise<Speed> {
  const { trainer, policy } = recipe;
  return {
    trainer: await rate(trainer, config, Math.min(MANY_ROWS, trainer.microBatchTokens)),
    policy: await rate(policy, config, policy.maxBatch),
  };
}

async function rate(
  { engine, threads, device, mathMode }: Recipe['trainer'] | Recipe['policy'],
  config: ModelConfig,
  rows: number,
): Promise<number> {
  const [hiddenSize, intermediateSize] = [config.hiddenSize, config.intermediateSize].map((width) =>
    Math.min(width, WIDE),
  ) as [number, number];
  const graph = new Graph();
  const x = graph.input('x', 'float32', [rows, hiddenSize]);
  const weight = graph.weight('weight', new Float32Array(intermediateSize * hiddenSize).fill(0.01), [
    intermediateSize,
    hiddenSize,
  ]);
  // onnxruntime stands for PyTorch, which is not measured here.
  const isOurs = engine === 'onnx' || engine === 'tensorflow';
  const options = { threads, device, mathMode, engine: isOurs ? engine : 'onnx' } as const;
  const program = await createEngine(options).compile({ y: matmul(x, weight, { transposeB: true }) });
  const feed: HostTensor = {
    dtype: 'float32',
    shape: [rows, hiddenSize],
    data: new Float32Array(rows * hiddenSize).fill(0.5),
  };
  await program.run({ x: feed });
  let runs = 0;
  const startedAt = performance.now();
  while (performance.now() - startedAt < PROBE_MS) {
    await program.run({ x: feed });
    runs += 1;
  }
  const seconds = (performance.now() - startedAt) / 1000;
  await program.release();
  return (runs * 2 * rows * hiddenSize * intermediateSize) / seconds;
}
