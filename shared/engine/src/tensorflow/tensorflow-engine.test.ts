import { spawnSync } from 'node:child_process';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { adamW, adamWNumbers, add, cast, Graph, greater, matmul, mul, sum, type Tensor } from '@forge/graph';
import { missingTensorflow } from '@forge/testing';
import type { DeviceTensor, HostTensor } from '..';
import { TensorflowEngine } from './tensorflow-engine';

const missing = missingTensorflow();
if (missing !== null) process.stderr.write(`skipped: ${missing}\n`);
const describeHere = missing === null ? describe : describe.skip;

const options = { engine: 'tensorflow', device: 'cpu', threads: 2, mathMode: 'float32' } as const;
const engine = new TensorflowEngine(options);

const floats = (values: readonly number[] | Float32Array, shape = [values.length]): HostTensor => ({
  dtype: 'float32',
  shape,
  data: Float32Array.from(values),
});

const MIB = 2 ** 20;

/** Memory this process had at most since it was last asked to forget, in MiB. */
function peakMib(): number {
  return Number(/VmHWM:\s+(\d+)/.exec(readFileSync('/proc/self/status', 'utf8'))![1]) / 1024;
}

describeHere('tensors of TensorFlow', () => {
  it.each<[string, HostTensor]>([
    ['a vector', floats([1, -2, 3.5])],
    ['a scalar', floats([7], [])],
    ['integers', { dtype: 'int64', shape: [2], data: BigInt64Array.of(-3n, 2n ** 40n) }],
    ['truths', { dtype: 'bool', shape: [3], data: Uint8Array.of(1, 0, 1) }],
    ['nothing', floats([], [0, 4])],
  ])('come back as they went: %s', async (_, tensor) => {
    const there = await engine.put(tensor);
    expect(await there.read()).toEqual(tensor);
    there.dispose();
    there.dispose();
    expect(() => there.read()).toThrow(/disposed of/);
  });

  it('do not change with the memory they came from', async () => {
    // Memory that the binding would share, were it aligned: one of these is.
    const room = new Float32Array(64);
    for (let start = 0; start < 16; start++) {
      const data = room.subarray(start, start + 32).fill(1);
      const there = await engine.put({ dtype: 'float32', shape: [32], data });
      data.fill(2);
      expect((await there.read()).data).toEqual(new Float32Array(32).fill(1));
      there.dispose();
    }
  });

  it('stay between runs where they are kept, and only what is wanted is computed', async () => {
    const graph = new Graph();
    const [x, y] = [graph.input('x', 'float32', ['N']), graph.input('y', 'float32', ['N'])];
    const outputs = { both: add(x, y), total: sum(x), isLarge: greater(x, 2), count: cast(sum(x), 'int64') };
    const program = await engine.compile(outputs, { kept: ['both', 'isLarge', 'count'] });
    const before = engine.tensors;
    const first = await program.run({ x: floats([1, 2, 3]), y: floats([10, 20, 30]) });
    expect(Object.keys(first.host)).toEqual(['total']);
    expect((await first.kept.isLarge!.read()).data).toEqual(Uint8Array.of(0, 0, 1));
    expect((await first.kept.count!.read()).data).toEqual(BigInt64Array.of(6n));
    const second = await program.run(
      { x: first.kept.both!, y: floats([1, 1, 1]) },
      { wanted: ['total'], consumed: ['x'] },
    );
    expect(second).toEqual({ host: { total: floats([66], []) }, kept: {} });
    await expect(first.kept.both!.read).toThrow();
    for (const name of ['isLarge', 'count']) first.kept[name]!.dispose();
    // The plan of the second run has constants of its own.
    expect(engine.tensors - before).toBeLessThan(4);
    await program.release();
  });

  it('are given back by a run that fails', async () => {
    const graph = new Graph();
    const x = graph.input('x', 'float32', ['N']);
    const program = await engine.compile({ y: mul(add(x, graph.input('y', 'float32', ['N'])), 2) });
    const fits = { x: floats([1, 2]), y: floats([3, 4]) };
    await program.run(fits);
    const before = engine.tensors;
    await expect(program.run({ ...fits, y: floats([1, 2, 3]) })).rejects.toMatchObject({
      code: 'SHAPE_MISMATCH',
      message: expect.stringMatching(/AddV2.*Incompatible shapes/s),
    });
    await expect(program.run({ x: floats([1, 2]) })).rejects.toThrow('no value for the input y');
    await expect(program.run({ ...fits, y: floats([1], [1, 1]) })).rejects.toThrow(
      'input y: expected float32 [N], found float32 [1, 1]',
    );
    expect(engine.tensors).toBe(before);
    await program.release();
  });
});

describeHere('AdamW on TensorFlow', () => {
  const size = 4 * MIB;
  const constants = { betas: [0.9, 0.95], epsilon: 1e-8 } as const;

  async function update() {
    const graph = new Graph();
    const tensor = (name: string): Tensor => graph.input(name, 'float32', [size]);
    const number = (name: string): Tensor => graph.input(name, 'float32', []);
    const { parameter, firstMoment, secondMoment } = adamW(
      {
        ...{ parameter: tensor('parameter'), gradient: tensor('gradient') },
        ...{ firstMoment: tensor('first'), secondMoment: tensor('second') },
        ...{ keep: number('keep'), rate: number('rate'), correction: number('correction') },
        gradientScale: number('gradientScale'),
      },
      constants,
    );
    const outputs = { 'new.parameter': parameter, 'new.first': firstMoment, 'new.second': secondMoment };
    const program = await engine.compile(outputs, { kept: Object.keys(outputs) });
    const numbers = { ...adamWNumbers(constants, 1, 0.01, 0), gradientScale: 1 };
    const scalars = Object.fromEntries(Object.entries(numbers).map(([name, x]) => [name, floats([x], [])]));
    const put = (value: number): Promise<DeviceTensor> =>
      engine.put(floats(new Float32Array(size).fill(value)));
    const [a, b, c, d] = [await put(1), await put(0.5), await put(0), await put(0)];
    const tensors = { parameter: a!, gradient: b!, first: c!, second: d! };
    return { program, tensors, feeds: { ...tensors, ...scalars } };
  }

  it('writes over what it consumes, without a copy', async () => {
    const { program, tensors, feeds } = await update();
    writeFileSync('/proc/self/clear_refs', '5');
    const before = peakMib();
    const { kept } = await program.run(feeds, { consumed: Object.keys(tensors) });
    // One tensor is 16 MiB.
    expect(peakMib() - before).toBeLessThan(12);
    const { data } = await kept['new.parameter']!.read();
    expect(data[size - 1]).toBeCloseTo(0.99, 6);
    for (const tensor of Object.values(kept)) tensor.dispose();
    await program.release();
  });

  it('leaves what it may not consume as it was', async () => {
    const { program, tensors, feeds } = await update();
    const { kept } = await program.run(feeds);
    const firsts = async (all: Record<string, DeviceTensor>) =>
      Promise.all(Object.values(all).map(async (tensor) => (await tensor.read()).data[0]));
    expect(await firsts(tensors)).toEqual([1, 0.5, 0, 0]);
    expect((await firsts(kept))[1]).toBeCloseTo(0.05, 6);
    for (const tensor of [...Object.values(tensors), ...Object.values(kept)]) tensor.dispose();
    await program.release();
  });
});

describeHere('mathMode', () => {
  const PROGRAM = `const { createEngine } = require(process.argv[1]);
    const { Graph, matmul } = require('@forge/graph');
    const graph = new Graph();
    const x = graph.input('x', 'float32', [64, 64]);
    const data = Float32Array.from({ length: 4096 }, (_, i) => Math.fround(((i * 0.618) % 1) + 0.1));
    createEngine({ threads: 1, engine: 'tensorflow', mathMode: process.argv[2] })
      .compile({ y: matmul(x, x) })
      .then((program) => program.run({ x: { dtype: 'float32', shape: [64, 64], data } }))
      .then(({ host }) => process.stdout.write(JSON.stringify([...host.y.data])));`;

  /** Elements of a product that a process of its own computes. */
  function product(mathMode: string): number[] {
    const engineModule = join(__dirname, '../../dist/index.js');
    const args = ['-e', PROGRAM, engineModule, mathMode];
    const { stdout } = spawnSync(process.execPath, args, { encoding: 'utf8', cwd: __dirname });
    return JSON.parse(stdout) as number[];
  }

  it('bfloat16 rounds the factors of products, float32 does not', async () => {
    const graph = new Graph();
    const x = graph.input('x', 'float32', [64, 64]);
    const data = Float32Array.from({ length: 4096 }, (_, i) => Math.fround(((i * 0.618) % 1) + 0.1));
    const program = await engine.compile({ y: matmul(x, x) });
    const { host } = await program.run({ x: { dtype: 'float32', shape: [64, 64], data } });
    const exact = [...(host.y!.data as Float32Array)];
    const worst = (found: readonly number[]): number =>
      Math.max(...found.map((value, i) => Math.abs(value - exact[i]!) / Math.abs(exact[i]!)));
    expect(worst(product('float32'))).toBeLessThan(1e-5);
    const rounded = worst(product('bfloat16'));
    expect(rounded).toBeGreaterThan(1e-5);
    expect(rounded).toBeLessThan(1e-2);
    await program.release();
  });

  it('is one for all engines of a process', async () => {
    await engine.put(floats([1]));
    const other = new TensorflowEngine({ ...options, mathMode: 'bfloat16' });
    await expect(other.put(floats([1]))).rejects.toMatchObject({ code: 'CONFIG_INVALID' });
  });
});

describe('device', () => {
  it('is a CPU or a GPU of NVIDIA', async () => {
    const other = new TensorflowEngine({ ...options, device: 'webgpu' });
    await expect(other.put(floats([1]))).rejects.toMatchObject({
      code: 'CONFIG_INVALID',
      message: expect.stringContaining('device webgpu'),
    });
  });
});
