import { readFileSync } from 'node:fs';
import { gather, Graph, matmul } from '@forge/graph';
import { createEngine, type HostTensor } from '..';
import { toOnnx } from './to-onnx';

const MIB = 2 ** 20;
const engine = createEngine({ threads: 1 });

/** The largest resident size of this process so far. */
function peakBytes(): number {
  return 1024 * Number(/VmHWM:\s+(\d+)/.exec(readFileSync('/proc/self/status', 'utf8'))![1]);
}

const index = (at: number): HostTensor => ({
  dtype: 'int64',
  shape: [1],
  data: BigInt64Array.of(BigInt(at)),
});

describe('weights in an ONNX model', () => {
  it('are none of its bytes, so that 5 GiB of them make a model of a few hundred', () => {
    const graph = new Graph();
    let x = graph.input('x', 'float32', ['B', 16_384]);
    for (let i = 0; i < 5; i++)
      x = matmul(x, graph.weight(`w${i}`, new Float32Array(16_384 * 16_384), [16_384, 16_384]));
    const { bytes, externalData } = toOnnx({ x });
    expect(bytes.length).toBeLessThan(2_000);
    expect(externalData.map(({ data }) => data.length)).toEqual(Array(5).fill(1024 * MIB));
  });

  it('are copied once, and stay what they were when the caller writes over them', async () => {
    const graph = new Graph();
    const [size, count] = [2048, 16];
    const weights = Array.from({ length: count }, () => new Float32Array(size * size).fill(1 / size));
    let y = graph.input('x', 'float32', ['B', size]);
    weights.forEach((data, i) => (y = matmul(y, graph.weight(`w${i}`, data, [size, size]))));
    const before = peakBytes();
    const program = await engine.compile({ y });
    const weightBytes = count * size * size * 4;
    expect(peakBytes() - before).toBeLessThan(1.4 * weightBytes);
    for (const data of weights) data.fill(0);
    const x = { dtype: 'float32', shape: [2, size], data: new Float32Array(2 * size).fill(3) } as const;
    const { host } = await program.run({ x });
    expect(host.y!.data[2 * size - 1]).toBeCloseTo(3, 4);
    await program.release();
  });

  it('may be a view in the middle of a buffer, and shared between threads', async () => {
    const shared = new Float32Array(new SharedArrayBuffer(4 * MIB), 1024, 512 * 1024);
    shared[511 * 1024] = 7;
    const graph = new Graph();
    const table = graph.weight('table', shared, [512, 1024]);
    const program = await engine.compile({ y: gather(table, graph.input('i', 'int64', ['N']), 0) });
    const { host } = await program.run({ i: index(511) });
    expect(host.y!.data[0]).toBe(7);
    await program.release();
  });

  it('may be one tensor of more than 2 GiB', async () => {
    const [rows, width] = [2 ** 20, 640];
    // Memory that nobody wrote to takes no place.
    const data = new Float32Array(rows * width);
    data[(rows - 1) * width] = 42;
    const graph = new Graph();
    const table = graph.weight('table', data, [rows, width]);
    const program = await engine.compile({ y: gather(table, graph.input('i', 'int64', ['N']), 0) });
    expect(program.inputNames).toEqual(['i']);
    const one = await program.run({ i: index(rows - 1) });
    expect(one.host.y!.data[0]).toBe(42);
    await program.release();
  });
});
