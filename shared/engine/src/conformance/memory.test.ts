import { readFileSync } from 'node:fs';
import { add, Graph, loop, matmul, mul, slice, sum, type Tensor } from '@forge/graph';
import type { HostTensor } from '..';
import { describeEngines } from './engines.conformance';

/** Resident memory of this process, in MiB. */
function residentMib(): number {
  globalThis.gc?.();
  return Number(/VmRSS:\s+(\d+)/.exec(readFileSync('/proc/self/status', 'utf8'))![1]) / 1024;
}

/** A step from a state of 256 KiB to the next, which is the same again where every element is 1. */
function tinyStep(): Record<string, Tensor> {
  const graph = new Graph();
  const state = graph.input('state', 'float32', ['N', 256]);
  const weight = graph.input('weight', 'float32', [256, 256]);
  const halved = loop({
    trips: 2,
    state: [matmul(state, weight)],
    body: (_, [x]) => ({ state: [mul(x!, 0.5)], scan: [slice(x!, 0, 0, 1)] }),
  });
  return { next: mul(add(halved.state[0]!, state), 0.8), total: sum(halved.scan[0]!) };
}

const filled = (shape: readonly number[], value: number): HostTensor => ({
  dtype: 'float32',
  shape,
  data: new Float32Array(shape.reduce((a, b) => a * b)).fill(value),
});

describeEngines((engine) => {
  it('has as much memory after 1,000 steps as before them', async () => {
    const program = await engine.compile(tinyStep(), { kept: ['next'] });
    const weight = await engine.put(filled([256, 256], 1 / 256));
    let state = await engine.put(filled([256, 256], 1));
    let total = 0;
    const steps = async (count: number): Promise<void> => {
      for (let i = 0; i < count; i++) {
        const { host, kept } = await program.run({ state, weight }, { consumed: ['state'] });
        state = kept.next!;
        total = (host.total!.data as Float32Array)[0]!;
      }
    };
    await steps(200);
    const before = residentMib();
    await steps(1000);
    expect(total).toBeCloseTo(384, 0);
    // A thousand states are 250 MiB.
    expect(residentMib() - before).toBeLessThan(50);
    for (const tensor of [state, weight]) tensor.dispose();
    await program.release();
  });

  it('says what to lower where its memory does not do, and goes on', async () => {
    const graph = new Graph();
    const [x, y] = [graph.input('x', 'float32', ['R', 1]), graph.input('y', 'float32', [1, 'C'])];
    const program = await engine.compile({ outer: sum(add(x, y)) });
    const run = (size: number) => program.run({ x: filled([size, 1], 1), y: filled([1, size], 1) });
    // More than a process can address.
    await expect(run(12_000_000)).rejects.toMatchObject({
      code: 'CAPACITY_DEVICE_MEMORY',
      message: expect.stringContaining('trainer.microBatchTokens'),
    });
    expect((await run(100)).host.outer!.data).toEqual(Float32Array.of(20_000));
    await program.release();
  });
});
