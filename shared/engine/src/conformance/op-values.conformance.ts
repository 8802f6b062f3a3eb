import { evaluate, Graph, mul, sum, type Dim, type Tensor, type Values } from '@forge/graph';
import type { Engine, HostTensor } from '..';
import type { OpCase } from './op-cases.conformance';

/** A fixed stream of numbers in (0.1, 1.1), none of them close to another's tie. */
function numbers(count: number, seed: number): Float64Array {
  return Float64Array.from(
    { length: count },
    (_, i) => 0.1 + (((((i + 1) * 0.6180339887 + seed * 0.377) % 1) + 1) % 1),
  );
}

/** Weights that make every element of the result count differently. */
function weighted(y: Tensor): Tensor {
  const graph = y.graph;
  const factor = graph.input('factor', 'float32', y.shape);
  return sum(mul(y, factor));
}

/** A case as a graph: its inputs, its result, and a scalar of it that can be differentiated. */
export function graphOf({ shapes, symbolic, ids, build }: OpCase, form: 'known' | 'symbolic') {
  const graph = new Graph();
  const forms: readonly (readonly Dim[])[] = form === 'symbolic' ? symbolic! : shapes;
  const inputs = forms.map((shape, i) => graph.input(`x${i}`, 'float32', shape));
  const length = form === 'symbolic' ? ids?.symbol : ids?.values.length;
  const y = build(inputs, graph, graph.input('ids', 'int64', [length ?? 0]));
  return { inputs, y, loss: weighted(y) };
}

/** Values for all inputs of `graphOf(opCase)`. */
export function feedsOf(opCase: OpCase): Record<string, Values> {
  const { shapes, signed, ids } = opCase;
  const feeds: Record<string, Values> = {};
  shapes.forEach((shape, i) => {
    const data = numbers(
      shape.reduce((a, b) => a * b, 1),
      i + 1,
    ).map((x) => (signed ? 2 * (x - 0.57) : x));
    feeds[`x${i}`] = { shape, data: Float64Array.from(Float32Array.from(data)) };
  });
  if (ids) feeds.ids = { shape: [ids.values.length], data: Float64Array.from(ids.values) };
  const { y } = evaluate({ y: graphOf(opCase, 'known').y }, feeds);
  return { ...feeds, factor: { shape: y.shape, data: numbers(y.data.length, 7) } };
}

const host = (name: string, { shape, data }: Values): HostTensor =>
  name === 'ids'
    ? { dtype: 'int64', shape, data: BigInt64Array.from(data, BigInt) }
    : { dtype: 'float32', shape, data: Float32Array.from(data) };

/** Compares what the engine computes with the reference in float64, each value to `tolerance` of its size or of 1. */
export async function expectReference(
  engine: Engine,
  outputs: Record<string, Tensor>,
  feeds: Record<string, Values>,
  tolerance = 2e-5,
): Promise<void> {
  const program = await engine.compile(outputs);
  const used = Object.fromEntries(program.inputNames.map((name) => [name, host(name, feeds[name]!)]));
  const { host: actual } = await program.run(used);
  await program.release();
  const expected = evaluate(outputs, feeds);
  for (const [name, { shape, data }] of Object.entries(expected)) {
    expect(actual[name]!.shape).toEqual(shape);
    data.forEach((x, i) => {
      expect(Math.abs(Number(actual[name]!.data[i]) - x)).toBeLessThanOrEqual(
        tolerance * Math.max(1, Math.abs(x)),
      );
    });
  }
}
