import {
  add,
  argmax,
  cast,
  concat,
  cumsum,
  evaluate,
  grad,
  Graph,
  loop,
  slice,
  sum,
  topK,
  type Tensor,
} from '@forge/graph';
import { describeEngines } from './engines.conformance';
import { OP_CASES } from './op-cases.conformance';
import { expectReference, feedsOf, graphOf } from './op-values.conformance';

const named = (gradients: readonly Tensor[]): Record<string, Tensor> =>
  Object.fromEntries(gradients.map((g, i) => [`d${i}`, g]));

// stopGradient is the one op whose gradient is not the slope.
describe.each(OP_CASES.filter(({ name }) => name !== 'stopGradient'))('the gradient of $name', (opCase) => {
  it('agrees with finite differences in float64', () => {
    const { inputs, loss } = graphOf(opCase, 'known');
    const feeds = feedsOf(opCase);
    const exact = evaluate(named(grad(loss, inputs)), feeds);
    inputs.forEach((_, i) => {
      const x = feeds[`x${i}`]!;
      const step = 1e-6;
      const slope = Float64Array.from(x.data, (_, at) => {
        const shifted = (by: number): number => {
          const data = x.data.slice();
          data[at] = data[at]! + by;
          return evaluate({ loss }, { ...feeds, [`x${i}`]: { shape: x.shape, data } }).loss.data[0]!;
        };
        return (shifted(step) - shifted(-step)) / (2 * step);
      });
      expect(exact[`d${i}`]!.shape).toEqual(x.shape);
      slope.forEach((expected, at) => {
        const bound = 1e-5 * Math.max(1, Math.abs(expected));
        expect(Math.abs(exact[`d${i}`]!.data[at]! - expected)).toBeLessThan(bound);
      });
    });
  });
});

describeEngines((engine) => {
  describe.each(OP_CASES)('$name', (opCase) => {
    it.each(opCase.symbolic ? (['known', 'symbolic'] as const) : (['known'] as const))(
      'and its gradient agree with the reference, with %s shapes',
      async (form) => {
        const { y, loss, inputs } = graphOf(opCase, form);
        await expectReference(engine, { y, ...named(grad(loss, inputs)) }, feedsOf(opCase));
      },
    );
  });

  it('computes the ops without a gradient exactly', async () => {
    const graph = new Graph();
    const x = graph.input('x', 'float32', ['B', 4]);
    const top = topK(x, 3);
    const grown = loop({
      trips: 3,
      state: [slice(x, 1, 0, 1)],
      stateShapes: [['B', 'R']],
      body: (counter, [state]) => ({
        state: [concat([state!, add(slice(x, 1, 1, 2), cast(counter, 'float32'))], 1)],
        scan: [sum(state!, [1])],
      }),
    });
    const outputs = {
      argmax: argmax(x, 1),
      cumsum: cumsum(x, 1),
      values: top.values,
      indices: top.indices,
      state: grown.state[0]!,
      scan: grown.scan[0]!,
    };
    const feeds = { x: { shape: [2, 4], data: Float64Array.of(0.5, 3, 1, 2, -1, -3, -2, -4) } };
    const expected = evaluate(outputs, feeds);
    expect([...expected.state.data]).toEqual([0.5, 3, 4, 5, -1, -3, -2, -1]);
    expect(expected.scan.shape).toEqual([3, 2]);
    await expectReference(engine, outputs, feeds, 0);
  });
});
