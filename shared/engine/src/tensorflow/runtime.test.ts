import type { Binding } from './binding';
import { Runtime } from './runtime';

/** A binding that counts its handles up to `count` and then begins again, keeping a tensor whose handle is in use. */
function countingBinding(count: number): Binding & { alive: Set<number> } {
  const alive = new Set<number>();
  let next = 0;
  const make = (): number => {
    const id = next;
    next = (next + 1) % count;
    alive.add(id);
    return id;
  };
  return {
    alive,
    createTensor: make,
    deleteTensor: (id) => {
      if (!alive.delete(id)) throw new Error(`tensor ${id} is not there`);
    },
    tensorDataSync: () => new Float32Array(),
    executeOp: (_, __, ___, outputs) =>
      Array.from({ length: outputs }, () => ({ id: make(), shape: [], dtype: 1 })),
    loadSavedModel: () => 0,
    deleteSavedModel: () => undefined,
    runSavedModel: () => [],
    getNumOfTensors: () => alive.size,
    isUsingGpuDevice: () => false,
  };
}

describe('Runtime', () => {
  it('takes no handle that is alive for a new one, when the binding has counted through', () => {
    const binding = countingBinding(8);
    const runtime = new Runtime(binding);
    const [weight] = runtime.execute('Weight', [], [], 1);
    const axis = runtime.ints([3]);
    for (let i = 0; i < 40; i++) {
      const values = runtime.execute('Pair', [], [], 2);
      const handles = values.map((value) => value.handle());
      expect(new Set([weight!.handle(), axis, ...handles]).size).toBe(4);
      expect(binding.alive.size).toBe(4);
      for (const value of values) value.release();
    }
  });
});
