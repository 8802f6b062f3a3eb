import type { Recipe } from '@forge/config';
import { createEngine, type HostTensor } from '@forge/engine';
import { Graph, matmul } from '@forge/graph';
import type { AskedEngine, ModelConfig } from '@forge/model';
import type { Speed } from './time-plan';

const PROBE_MS = 500;
/** Rows, and widths, of a product beyond which more do not make it faster. */
const MANY_ROWS = 512;
const WIDE = 4096;

/** The rates of a model's largest product on this machine, with the engine and threads of trainer and policy. */
export async function probeSpeed(recipe: Recipe, config: ModelConfig): Promise<Speed> {
  const { trainer, policy } = recipe;
  // onnxruntime stands for PyTorch, which is not measured here.
  const engine = trainer.engine === 'torch' ? 'onnx' : trainer.engine;
  return {
    trainer: await rate({ ...trainer, engine }, config, Math.min(MANY_ROWS, trainer.microBatchTokens)),
    // A server takes none of the time of this machine.
    policy:
      typeof policy.engine === 'string'
        ? await rate({ ...policy, engine: policy.engine }, config, policy.maxBatch)
        : Infinity,
  };
}

async function rate(
  { engine, threads, device, mathMode }: AskedEngine,
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
  const options = { threads, device, mathMode, engine: engine === 'auto' ? 'onnx' : engine };
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
