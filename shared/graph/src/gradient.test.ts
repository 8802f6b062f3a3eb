import {
  argmax,
  cast,
  cumsum,
  dependence,
  equal,
  evaluate,
  grad,
  Graph,
  mul,
  reduceMax,
  stopGradient,
  sum,
} from './index';

describe('grad', () => {
  it('is zero for what the loss does not depend on', () => {
    const graph = new Graph();
    const [a, b] = [graph.input('a', 'float32', [2]), graph.input('b', 'float32', [3])];
    const [, db] = grad(sum(a), [a, b]);
    expect([...evaluate({ db: db! }, {}).db.data]).toEqual([0, 0, 0]);
  });

  it('does not flow through stopGradient', () => {
    const graph = new Graph();
    const a = graph.input('a', 'float32', [2]);
    const [da] = grad(sum(mul(a, stopGradient(a))), [a]);
    expect([...evaluate({ da: da! }, { a: { shape: [2], data: Float64Array.of(2, 3) } }).da.data]).toEqual([
      2, 3,
    ]);
  });

  it('names an op without a gradient, on the way to what is asked for only', () => {
    const graph = new Graph();
    const [a, b] = [graph.input('a', 'float32', [2]), graph.input('b', 'float32', [2])];
    expect(() => grad(sum(mul(cumsum(a, 0), b)), [a])).toThrow(
      expect.objectContaining({
        code: 'CONFIG_LOSS_INVALID',
        message: expect.stringMatching(/CumSum has no gradient.*stopGradient/),
      }),
    );
    expect(grad(sum(mul(cumsum(a, 0), b)), [b])).toHaveLength(1);
    expect(grad(sum(mul(stopGradient(cumsum(a, 0)), a)), [a])).toHaveLength(1);
  });
});

describe('dependence', () => {
  const graph = new Graph();
  const [a, b] = [graph.input('a', 'float32', [2]), graph.input('b', 'float32', [2])];
  const highest = cast(equal(a, reduceMax(a)), 'float32');

  it('names what keeps the gradient back', () => {
    expect(dependence(sum(mul(highest, b)), a)).toEqual({ hasGradient: false, cutBy: ['Equal'] });
    expect(dependence(sum(mul(stopGradient(a), b)), a)).toEqual({
      hasGradient: false,
      cutBy: ['stopGradient'],
    });
    expect(dependence(sum(cast(argmax(a, 0), 'float32')), a)).toEqual({
      hasGradient: false,
      cutBy: ['ArgMax'],
    });
    expect(dependence(sum(b), a)).toEqual({ hasGradient: false, cutBy: [] });
  });

  it('has a gradient where one way is open', () => {
    expect(dependence(sum(mul(highest, a)), a).hasGradient).toBe(true);
  });
});
