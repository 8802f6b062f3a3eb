import {
  adamW,
  adamWNumbers,
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
  topLinearLogprobs,
  type Tensor,
  type Values,
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
    const weight = graph.input('weight', 'float32', [5, 4]);
    const likeliest = topLinearLogprobs(x, weight, { k: 2, below: 4, chunk: 1, temperature: 0.5 });
    const outputs = {
      argmax: argmax(x, 1),
      cumsum: cumsum(x, 1),
      values: top.values,
      indices: top.indices,
      state: grown.state[0]!,
      scan: grown.scan[0]!,
      likeliest: likeliest.ids,
    };
    const rows = Float64Array.from({ length: 20 }, (_, i) => (((i + 1) * 7) % 11) - 5);
    const feeds = {
      x: { shape: [2, 4], data: Float64Array.of(0.5, 3, 1, 2, -1, -3, -2, -4) },
      weight: { shape: [5, 4], data: rows },
    };
    const expected = evaluate(outputs, feeds);
    expect([...expected.state.data]).toEqual([0.5, 3, 4, 5, -1, -3, -2, -1]);
    expect(expected.scan.shape).toEqual([3, 2]);
    await expectReference(engine, outputs, feeds, 0);
    await expectReference(engine, { logprobs: likeliest.logprobs }, feeds);
  });

  it.each([
    ['at the first step', 1, 1],
    ['later, clipped', 7, 0.3],
  ])('takes a step of AdamW %s', async (_, step, gradientScale) => {
    const constants = { betas: [0.9, 0.999], epsilon: 1e-8 } as const;
    const graph = new Graph();
    const tensor = (name: string): Tensor => graph.input(name, 'float32', [2, 3]);
    const number = (name: string): Tensor => graph.input(name, 'float32', []);
    const updated = adamW(
      {
        ...{ parameter: tensor('parameter'), gradient: tensor('gradient') },
        ...{ firstMoment: tensor('first'), secondMoment: tensor('second') },
        ...{ keep: number('keep'), rate: number('rate'), correction: number('correction') },
        gradientScale: number('gradientScale'),
      },
      constants,
    );
    const row = (scale: number): Values => ({
      shape: [2, 3],
      data: Float64Array.of(1, -2, 0.5, 3, -0.1, 2).map((x) => Math.fround(x * scale)),
    });
    const numbers = { ...adamWNumbers(constants, step, 0.01, 0.1), gradientScale };
    const feeds = {
      ...{ parameter: row(1), gradient: row(-0.5), first: row(0.1) },
      second: { shape: [2, 3], data: row(0.1).data.map((x) => Math.fround(x * x)) },
      ...Object.fromEntries(
        Object.entries(numbers).map(([name, x]) => [name, { shape: [], data: Float64Array.of(x) }]),
      ),
    };
    const { parameter, firstMoment, secondMoment } = updated;
    await expectReference(
      engine,
      { parameter1: parameter, first1: firstMoment, second1: secondMoment },
      feeds,
      1e-6,
    );
  });
});
