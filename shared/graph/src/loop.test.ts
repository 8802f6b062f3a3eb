import { mul } from './elementwise';
import { evaluate } from './evaluate';
import { Graph, type LoopBody, type Tensor } from './graph';
import { inside, loop } from './loop';
import { reachableInside } from './reachable';

describe('inside', () => {
  /** Adds no round or one of x * x to a state of zero. */
  function squared(wrap: (round: Tensor, x: Tensor) => Tensor): { result: Tensor; ops: string[] } {
    const graph = new Graph();
    const x = graph.input('x', 'float32', [2]);
    const trips = graph.input('trips', 'int64', []);
    const [result] = loop({
      trips,
      state: [graph.constant([0, 0], [2])],
      body: (round) => {
        const own = wrap(round, x);
        return { state: [mul(own, own)] };
      },
    }).state;
    const { nodes } = reachableInside(result!.node!.attributes.body as LoopBody);
    return { result: result!, ops: nodes.map(({ op }) => op.type) };
  }

  it('puts what is computed from a tensor around the loop into its body', () => {
    expect(squared((_, x) => x).ops).not.toContain('Mul');
    expect(squared(inside).ops).toContain('Mul');
  });

  it('computes it in as many rounds as there are', () => {
    const { result } = squared(inside);
    const after = (trips: number): number[] => {
      const x = { shape: [2], data: Float64Array.of(3, 4) };
      const rounds = { shape: [], data: Float64Array.of(trips) };
      return [...evaluate({ result }, { x, trips: rounds }).result.data];
    };
    expect(after(0)).toEqual([0, 0]);
    expect(after(1)).toEqual([9, 16]);
  });
});
