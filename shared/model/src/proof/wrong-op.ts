import { hostTensorOf, type Engine, type HostTensor } from '@forge/engine';
import { Graph, type Application, type Tensor } from '@forge/graph';

/** An op that an engine computes wrongly, given the inputs of the reference. */
export interface WrongOp {
  type: string;
  /** Shapes of its inputs; null for one that is left out. */
  shapes: readonly (readonly number[] | null)[];
  /** The most wrong number: `found` in place of `expected`. */
  expected: number;
  found: number;
}

/**
 * The first of the ops, as the reference computed them, that an engine computes otherwise when it is asked for that one
 * alone; null when each is right by itself.
 */
export async function firstWrongOp(
  engine: Engine,
  applications: readonly Application[],
  tolerance: number,
): Promise<WrongOp | null> {
  const asked = new Set<string>();
  for (const application of applications) {
    const { node, inputs } = application;
    const shapes = inputs.map((x) => x && x.shape);
    const key = JSON.stringify([node.op.domain, node.op.type, node.attributes, shapes], withoutGraphs);
    if (asked.has(key)) continue;
    asked.add(key);
    const found = await outputsOf(engine, application);
    if (found === null) continue;
    const expected = application.outputs.flatMap(({ data }) => [...data]);
    const at = furthest(expected, found);
    if (isClose(expected[at] ?? 0, found[at] ?? 0, tolerance)) continue;
    return { type: node.op.type, shapes, expected: expected[at]!, found: found[at]! };
  }
  return null;
}

/** Whether a number is the expected one but for rounding. */
export const isClose = (expected: number, found: number, tolerance: number): boolean =>
  Math.abs(found - expected) <= tolerance * Math.max(1, Math.abs(expected));

/** Where two lists of numbers differ most; anything is nearer than NaN. */
export function furthest(expected: readonly number[], found: readonly number[]): number {
  const errors = expected.map((x, i) => {
    const error = Math.abs((found[i] ?? NaN) - x) / Math.max(1, Math.abs(x));
    return Number.isNaN(error) ? Infinity : error;
  });
  return errors.indexOf(Math.max(...errors, 0));
}

/** The numbers that an engine gives for one op; null where it can't be asked for the op alone. */
async function outputsOf(engine: Engine, { node, inputs, outputs }: Application): Promise<number[] | null> {
  const graph = new Graph();
  const feeds: Record<string, HostTensor> = {};
  const given = node.inputs.map((x, i): Tensor | null => {
    // Axes and the like must be known when the op is compiled.
    if (x === null || x.data !== null) return x;
    feeds[x.name] ??= hostTensorOf(inputs[i]!, x.dtype);
    return graph.inputs.find(({ name }) => name === x.name) ?? graph.input(x.name, x.dtype, inputs[i]!.shape);
  });
  const made = graph.apply(
    node.op,
    given,
    node.outputs.map(({ dtype }, i) => ({ dtype, shape: outputs[i]!.shape })),
    node.attributes,
  );
  try {
    const program = await engine.compile(Object.fromEntries(made.map((y, i) => [`output.${i}`, y])));
    const { host } = await program.run(feeds).finally(() => program.release());
    return made.flatMap((_, i) =>
      Array.from(host[`output.${i}`]!.data as ArrayLike<number | bigint>, Number),
    );
  } catch {
    return null;
  }
}

/** Attributes as text: a constant by its values. */
function withoutGraphs(key: string, value: unknown): unknown {
  if (key === 'constant') return String((value as Tensor).data);
  return value;
}
