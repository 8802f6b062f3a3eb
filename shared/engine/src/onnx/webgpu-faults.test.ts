import {
  add,
  evaluate,
  gather,
  grad,
  Graph,
  loop,
  matmul,
  mul,
  reshape,
  rmsNorm,
  sliceBetween,
  sum,
  type Tensor,
  type Values,
} from '@forge/graph';
import { missingWebGpu } from '@forge/testing';
import { InferenceSession, Tensor as OrtTensor } from 'onnxruntime-node';
import { createEngine } from '..';
import { toOnnx } from './to-onnx';

const missing = missingWebGpu();
const onWebGpu = missing === null ? it : it.skip;
if (missing !== null) process.stderr.write(`skipped: ${missing}\n`);

const [rows, width] = [2, 4];
const feeds: Record<string, Values> = {
  x: { shape: [rows, width], data: Float64Array.of(1, -2, 3, 0.5, 0.25, 4, -1, 2) },
  weight: { shape: [width], data: Float64Array.of(1, 0.5, 2, -1) },
};

/** The gradients of a normalisation, outside a loop and within one. */
function gradients(): Record<string, Tensor> {
  const graph = new Graph();
  const [x, weight] = [graph.input('x', 'float32', ['R', width]), graph.input('weight', 'float32', [width])];
  const squares = (a: Tensor): Tensor => mul(a, a);
  const dx = (within: Tensor): Tensor => grad(sum(squares(rmsNorm(within, weight, 1e-5))), [within])[0]!;
  const rounds = loop({ trips: 2, state: [x], body: (_, [state]) => ({ state: [dx(mul(state!, 1))] }) });
  const [dWeight] = grad(sum(squares(rmsNorm(x, weight, 1e-5))), [weight]);
  return { dx: dx(x), dWeight: dWeight!, rounds: rounds.state[0]! };
}

const floats = ({ data }: Values): Float32Array => Float32Array.from(data);

async function run(model: Uint8Array, device: string): Promise<Record<string, OrtTensor>> {
  const session = await InferenceSession.create(model, { executionProviders: [device], logSeverityLevel: 3 });
  const inputs = Object.entries(feeds).map(([name, x]) => [name, new OrtTensor(floats(x), x.shape)]);
  const outputs = await session.run(Object.fromEntries(inputs) as Record<string, OrtTensor>);
  await session.release();
  return outputs as Record<string, OrtTensor>;
}

/** Largest difference from the float64 reference, relative to its values above 1. */
function difference(outputs: Readonly<Record<string, { data: unknown }>>): number {
  const errors = Object.entries(evaluate(gradients(), feeds)).flatMap(([name, { data }]) =>
    [...data].map(
      (x, i) => Math.abs((outputs[name]!.data as Float32Array)[i]! - x) / Math.max(1, Math.abs(x)),
    ),
  );
  return Math.max(...errors);
}

describe('the graph that goes around the faults of WebGPU', () => {
  it('computes what the reference does, on the CPU', async () => {
    expect(difference(await run(toOnnx(gradients(), 'webgpu').bytes, 'cpu'))).toBeLessThan(1e-5);
  });

  onWebGpu('computes what the reference does, on WebGPU', async () => {
    const program = await createEngine({ threads: 1, device: 'webgpu' }).compile(gradients());
    const tensors = Object.entries(feeds).map(([name, x]) => [
      name,
      { dtype: 'float32' as const, shape: x.shape, data: floats(x) },
    ]);
    const { host } = await program.run(Object.fromEntries(tensors));
    await program.release();
    expect(difference(host)).toBeLessThan(1e-5);
  });

  // It passes no longer once onnxruntime is mended: then this file can go.
  onWebGpu('is needed: a gradient of the plain graph is wrong there', async () => {
    expect(difference(await run(toOnnx(gradients(), 'cpu').bytes, 'webgpu'))).toBeGreaterThan(0.1);
  });
});

describe('a constant matrix that a loop and the graph around it share', () => {
  onWebGpu('is the same to both', async () => {
    const numbers = (count: number): Float32Array =>
      Float32Array.from({ length: count }, (_, i) => Math.sin(i));
    const [vocabulary, size] = [18, 32];
    const graph = new Graph();
    const x = graph.input('x', 'float32', ['R', size]);
    const table = graph.weight('table', numbers(vocabulary * size), [vocabulary, size]);
    const { scan } = loop({
      trips: graph.scalar(2, 'int64'),
      tripsDim: 2,
      state: [],
      body: (counter) => {
        const start = mul(reshape(counter, [1]), 2);
        const part = sliceBetween(x, 0, start, add(start, 2), 2);
        return { state: [], scan: [matmul(part, table, { transposeB: true })] };
      },
    });
    const outputs = { scan: scan[0]!, rows: gather(table, graph.constant([3, 17], [2], 'int64')) };
    const data = numbers(4 * size);
    const expected = evaluate(outputs, { x: { shape: [4, size], data: Float64Array.from(data) } });
    const program = await createEngine({ threads: 1, device: 'webgpu' }).compile(outputs);
    const { host } = await program.run({ x: { dtype: 'float32', shape: [4, size], data } });
    await program.release();
    for (const [name, values] of Object.entries(expected)) {
      values.data.forEach((value, i) =>
        expect(Math.abs(Number(host[name]!.data[i]) - value)).toBeLessThan(1e-4),
      );
    }
  });
});
