import { ForgeError } from '@forge/errors';
import type { LoopBody, Node, Tensor } from './graph';
import { loopOp } from './loop';
import { reachable } from './reachable';
import type { Values } from './op';
import { sizeOf } from './values';

/** One application of an op by the reference; that of a loop is the applications within. */
export interface Application {
  readonly node: Node;
  readonly inputs: readonly (Values | null)[];
  readonly outputs: readonly Values[];
}

/** The values of the tensors that are in reach, and who hears of what is computed. */
interface Scope {
  readonly known: Map<Tensor, Values>;
  readonly give: (tensor: Tensor) => Values;
  readonly observe: (application: Application) => void;
}

/**
 * Runs the graph in plain float64 loops: slow and obvious, the oracle of the tests.
 *
 * @param feeds the inputs by name.
 * @param observe hears of every op as it is computed.
 * @throws {ForgeError} SHAPE_MISMATCH when an input is missing.
 */
export function evaluate<Name extends string>(
  outputs: Readonly<Record<Name, Tensor>>,
  feeds: Readonly<Record<string, Values>>,
  observe: Scope['observe'] = () => undefined,
): Record<Name, Values> {
  const known = new Map<Tensor, Values>();
  const give = (tensor: Tensor): Values => {
    const value = known.get(tensor) ?? (tensor.data === null ? feeds[tensor.name] : valuesOf(tensor));
    if (value === undefined) throw new ForgeError('SHAPE_MISMATCH', `no value for the input ${tensor.name}`);
    known.set(tensor, value);
    return value;
  };
  const entries = Object.entries(outputs) as [Name, Tensor][];
  run(
    entries.map(([, tensor]) => tensor),
    { known, give, observe },
  );
  return Object.fromEntries(entries.map(([name, tensor]) => [name, give(tensor)])) as Record<Name, Values>;
}

function run(outputs: readonly Tensor[], scope: Scope): void {
  for (const node of reachable(outputs).nodes) {
    if (node.outputs.every((y) => scope.known.has(y))) continue;
    const results = node.op === loopOp ? runLoop(node, scope) : runNode(node, scope);
    node.outputs.forEach((y, i) => scope.known.set(y, results[i]!));
  }
}

function runNode(node: Node, { give, observe }: Scope): readonly Values[] {
  const inputs = node.inputs.map((x) => x && give(x));
  const outputs = node.op.reference(inputs, node.attributes);
  observe({ node, inputs, outputs });
  return outputs;
}

function runLoop(node: Node, { known, give, observe }: Scope): Values[] {
  const { body, outputs } = node.attributes.body as LoopBody;
  const [counter, condition, ...carried] = body.inputs;
  let state = node.inputs.slice(2).map((x) => give(x!));
  const scans: Values[][] = [];
  const trips = give(node.inputs[0]!).data[0]!;
  for (let i = 0; i < trips; i++) {
    const inside = new Map(known);
    inside.set(counter!, { shape: [], data: Float64Array.of(i) });
    inside.set(condition!, { shape: [], data: Float64Array.of(1) });
    carried.forEach((x, at) => inside.set(x, state[at]!));
    const giveInside = (tensor: Tensor): Values => inside.get(tensor) ?? give(tensor);
    run(outputs, { known: inside, give: giveInside, observe });
    const results = outputs.slice(1).map(giveInside);
    state = results.slice(0, state.length);
    scans.push(results.slice(state.length));
  }
  const stacked = outputs.slice(1 + state.length).map((_, at) => stack(scans.map((round) => round[at]!)));
  return [...state, ...stacked];
}

function stack(rounds: readonly Values[]): Values {
  const shape = [rounds.length, ...(rounds[0]?.shape ?? [])];
  const data = new Float64Array(sizeOf(shape));
  rounds.forEach((round, i) => {
    data.set(round.data, i * round.data.length);
  });
  return { shape, data };
}

function valuesOf({ shape, data }: Tensor): Values {
  return {
    shape: shape as readonly number[],
    data: Float64Array.from(data as ArrayLike<number | bigint>, Number),
  };
}
