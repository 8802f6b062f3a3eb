import { ForgeError } from '@forge/errors';
import type { Dim } from './dim';
import { Graph, innermost, type Tensor } from './graph';
import { defineOp } from './op';

/** Its reference lies in `evaluate`, which knows the tensors around the body. */
export const loopOp = defineOp({
  type: 'Loop',
  reference: () => {
    throw new ForgeError('BUG_INVARIANT', 'a loop is evaluated with its surroundings');
  },
});

const copyOp = defineOp({ type: 'Identity', reference: ([x]) => [x!] });

export interface LoopOptions {
  /** Rounds of the body: a number, or an int64 scalar. */
  trips: number | Tensor;
  /** Length of the scans along their first axis; needed when `trips` is a tensor. */
  tripsDim?: Dim;
  /** Tensors carried from one round to the next. */
  state: readonly Tensor[];
  /** Shapes of the state where they differ from that of the first value, e.g. an axis that grows: [B, 'R']. */
  stateShapes?: readonly (readonly Dim[])[];
  /** One round; may use tensors of the graph around it. `counter` is an int64 scalar. */
  body: (counter: Tensor, state: readonly Tensor[]) => { state: readonly Tensor[]; scan?: readonly Tensor[] };
}

/** A loop inside the graph: the final state, and the scans of all rounds stacked, [trips, ...]. No gradient. */
export function loop(options: LoopOptions): { state: Tensor[]; scan: Tensor[] } {
  const { trips, state, stateShapes, tripsDim } = options;
  const outer = innermost(typeof trips === 'number' ? state : [...state, trips]);
  const body = new Graph(outer);
  const counter = body.input(body.freshName('counter'), 'int64', []);
  const condition = body.input(body.freshName('condition'), 'bool', []);
  const carried = state.map((x, i) =>
    body.input(body.freshName('state'), x.dtype, stateShapes?.[i] ?? x.shape),
  );
  const round = options.body(counter, carried);
  const scan = round.scan ?? [];
  if (round.state.length !== state.length) {
    throw new ForgeError(
      'SHAPE_MISMATCH',
      `loop: the body returns ${round.state.length} states, not ${state.length}`,
    );
  }
  // An output of the body has to be computed inside it, once, whatever the body returned.
  const given = new Set<Tensor>();
  const own = (x: Tensor): Tensor => {
    if (x.graph === body && x.node !== null && !given.has(x)) {
      given.add(x);
      return x;
    }
    return body.apply(copyOp, [x], [{ dtype: x.dtype, shape: x.shape }])[0]!;
  };
  const outputs = [own(condition), ...round.state.map(own), ...scan.map(own)];
  const count = typeof trips === 'number' ? outer.scalar(trips, 'int64') : trips;
  const length = typeof trips === 'number' ? trips : (tripsDim ?? outer.freshName('trips'));
  const results = outer.apply(
    loopOp,
    [count, null, ...state],
    [
      ...carried.map(({ dtype, shape }) => ({ dtype, shape })),
      ...scan.map(({ dtype, shape }) => ({ dtype, shape: [length, ...shape] })),
    ],
    { body: { body, outputs } },
  );
  return { state: results.slice(0, state.length), scan: results.slice(state.length) };
}

/**
 * `x` as a tensor of the graph of `like`. What is computed from it belongs to that graph too: in the body of a loop it is
 * computed once a round, and not at all when there is none, instead of before the loop.
 */
export function inside(like: Tensor, x: Tensor): Tensor {
  return like.graph.apply(copyOp, [x], [{ dtype: x.dtype, shape: x.shape }])[0]!;
}
