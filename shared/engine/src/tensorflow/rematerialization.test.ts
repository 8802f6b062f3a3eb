import { blockOf } from './lifetimes';
import { rematerialized } from './rematerialization';
import { OpStep, type Slot, type Step } from './step';

const op = (name: string, inputs: readonly Slot[], output: Slot): OpStep =>
  new OpStep(name, [], inputs, [output]);

/** Steps that take as long as those of several layers: `count` ops one behind the other, from `input` to `first + count - 1`. */
const chain = (input: Slot, first: Slot, count: number): OpStep[] =>
  Array.from({ length: count }, (_, i) => op('Exp', [i === 0 ? input : first + i - 1], first + i));

/** Ops by name and output, from the step `from` on. */
const told = (steps: readonly Step[], from = 0): string[] =>
  steps.slice(from).map((step) => `${(step as OpStep).name} ${step.outputs.join()}`);

/** Slots that hold a value after `count` steps; every step finds the values it needs. */
function heldAfter(count: number, all: readonly Step[], results: readonly Slot[]): Slot[] {
  const held = new Set([0]);
  const counts: Slot[][] = [];
  for (const step of blockOf(all, results, [0]).steps) {
    for (const slot of step.inputs) expect(held.has(slot)).toBe(true);
    for (const slot of step.outputs) held.add(slot);
    for (const slot of step.frees) held.delete(slot);
    counts.push([...held].sort((x, y) => x - y));
  }
  expect(counts.at(-1)).toEqual(results);
  return counts[count - 1]!;
}

describe('rematerialized', () => {
  const [gate, up, sigmoid, silu, gated, down] = [1, 2, 3, 4, 5, 6] as const;
  const forward = [
    op('BatchMatMulV2', [0], gate),
    op('BatchMatMulV2', [0], up),
    op('Sigmoid', [gate], sigmoid),
    op('Mul', [gate, sigmoid], silu),
    op('Mul', [silu, up], gated),
    op('BatchMatMulV2', [gated], down),
  ];
  const backward = [
    op('BatchMatMulV2', [gated, 400], 500),
    op('Mul', [silu, 400], 501),
    op('Mul', [up, 400], 502),
    op('SigmoidGrad', [sigmoid, 502], 503),
    op('Mul', [gate, 502], 504),
  ];
  const results = [500, 501, 503, 504];

  it('makes again what follows from kept products, each value once, before its first late use', () => {
    const steps = [...forward, ...chain(down, 101, 300), ...backward];
    const again = rematerialized(steps, results);
    expect(told(again, forward.length + 300)).toEqual([
      ...['Sigmoid 3', 'Mul 4', 'Mul 5', 'BatchMatMulV2 500'],
      ...['Mul 501', 'Mul 502', 'SigmoidGrad 503', 'Mul 504'],
    ]);
    expect(heldAfter(306, steps, results)).toEqual([gate, up, sigmoid, silu, gated, 400]);
    expect(heldAfter(306, again, results)).toEqual([gate, up, 400]);
  });

  it('keeps what is used soon, is a result, or would hold other values longer', () => {
    const soon = [...forward, ...chain(down, 381, 20), ...backward];
    expect(rematerialized(soon, results)).toEqual(soon);
    const wanted = [...forward, ...chain(down, 101, 300), ...backward];
    expect(told(rematerialized(wanted, [...results, silu]), 306)).not.toContain('Mul 4');
    // The product that the sum is made of is needed for nothing else.
    const sum = [
      op('BatchMatMulV2', [0], 1),
      op('AddV2', [1, 0], 2),
      ...chain(2, 101, 300),
      op('Mul', [2, 400], 500),
    ];
    expect(rematerialized(sum, [500])).toEqual(sum);
  });
});
