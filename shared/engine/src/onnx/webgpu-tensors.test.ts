import { add, cast, Graph, greater, mul, slice, sum } from '@forge/graph';
import { missingWebGpu } from '@forge/testing';
import { createEngine, type DeviceTensor, type Engine, type HostTensor } from '..';

const missing = missingWebGpu();
if (missing !== null) process.stderr.write(`skipped: ${missing}\n`);

const floats = (values: readonly number[], shape = [values.length]): HostTensor => ({
  dtype: 'float32',
  shape,
  data: Float32Array.from(values),
});

const MIB = 2 ** 20;

(missing === null ? describe : describe.skip)('tensors on WebGPU', () => {
  let engine: Engine;
  beforeAll(() => {
    engine = createEngine({ threads: 1, device: 'webgpu' });
  });

  it.each<[string, HostTensor]>([
    ['a vector', floats([1, -2, 3.5])],
    ['a scalar', floats([7], [])],
    ['a matrix', floats([1, 2, 3, 4, 5, 6], [2, 3])],
    ['integers', { dtype: 'int64', shape: [2], data: BigInt64Array.of(-3n, 2n ** 40n) }],
    ['truths', { dtype: 'bool', shape: [3], data: Uint8Array.of(1, 0, 1) }],
    ['nothing', floats([], [0, 4])],
  ])('come back as they went: %s', async (_, tensor) => {
    const there = await engine.put(tensor);
    expect([there.dtype, there.shape]).toEqual([tensor.dtype, tensor.shape]);
    expect(await there.read()).toEqual(tensor);
    there.dispose();
    there.dispose();
  });

  it('stay between runs where they are kept, and mix with those of the host', async () => {
    const graph = new Graph();
    const x = graph.input('x', 'float32', ['N']);
    const y = graph.input('y', 'float32', ['N']);
    const outputs = { both: add(x, y), total: sum(x), isLarge: greater(x, 2), count: cast(sum(x), 'int64') };
    const program = await engine.compile(outputs, { kept: ['both', 'isLarge', 'count'] });
    const first = await program.run({ x: floats([1, 2, 3]), y: floats([10, 20, 30]) });
    expect(Object.keys(first.host)).toEqual(['total']);
    expect(first.host.total!.data).toEqual(Float32Array.of(6));
    expect((await first.kept.isLarge!.read()).data).toEqual(Uint8Array.of(0, 0, 1));
    expect((await first.kept.count!.read()).data).toEqual(BigInt64Array.of(6n));
    const second = await program.run(
      { x: first.kept.both!, y: floats([1, 1, 1]) },
      { wanted: ['both', 'total'] },
    );
    expect(Object.keys({ ...second.kept, ...second.host })).toEqual(['both', 'total']);
    expect((await second.kept.both!.read()).data).toEqual(Float32Array.of(12, 23, 34));
    expect(second.host.total!.data).toEqual(Float32Array.of(66));
    for (const tensor of [...Object.values(first.kept), ...Object.values(second.kept)]) tensor.dispose();
    await program.release();
  });

  it('that are an input of the graph outlive it', async () => {
    const x = new Graph().input('x', 'float32', [2]);
    const program = await engine.compile({ same: x, part: slice(x, 0, 0, 1) }, { kept: ['same', 'part'] });
    const given = await engine.put(floats([5, 6]));
    const { kept } = await program.run({ x: given }, { consumed: ['x'] });
    expect((await kept.same!.read()).data).toEqual(Float32Array.of(5, 6));
    expect((await kept.part!.read()).data).toEqual(Float32Array.of(5));
    await program.release();
  });

  it('are freed by the run that consumes them: 1,000 rounds take no more memory than 100', async () => {
    const size = 2 ** 18;
    const graph = new Graph();
    const x = graph.input('x', 'float32', [size]);
    const counter = graph.input('counter', 'int64', [1]);
    const next = { halved: mul(x, 0.5), counted: add(counter, 1) };
    const program = await engine.compile({ ...next, head: slice(x, 0, 0, 1) }, { kept: Object.keys(next) });
    let kept: Record<string, DeviceTensor> = {
      x: await engine.put(floats(new Array<number>(size).fill(1))),
      counter: await engine.put({ dtype: 'int64', shape: [1], data: BigInt64Array.of(0n) }),
    };
    const rounds = async (count: number): Promise<number> => {
      for (let i = 0; i < count; i++) {
        const { halved, counted } = (await program.run(kept, { consumed: ['x', 'counter'] })).kept;
        kept = { x: halved!, counter: counted! };
      }
      return process.memoryUsage.rss();
    };
    const early = await rounds(100);
    const late = await rounds(900);
    expect((await kept.counter!.read()).data).toEqual(BigInt64Array.of(1000n));
    // A round that kept its megabyte would make 900 of them.
    expect((late - early) / MIB).toBeLessThan(100);
    await program.release();
  });
});
