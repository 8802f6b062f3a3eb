import { add, concat, grad, Graph, matmul, reshape, slice } from './index';

describe('shape errors', () => {
  const graph = new Graph();
  const a = graph.input('a', 'float32', [2, 3]);
  it.each([
    ['add', () => add(a, graph.input('b', 'float32', [2, 4]))],
    ['matmul', () => matmul(a, a)],
    ['reshape', () => reshape(a, [4, 2])],
    ['concat', () => concat([a, graph.input('c', 'float32', [3, 3])], 1)],
    ['slice', () => slice(a, 1, 2, 5)],
    ['grad', () => grad(a, [a])],
  ])('%s names the op and the shapes', (name, build) => {
    expect(build).toThrow(
      expect.objectContaining({
        code: 'SHAPE_MISMATCH',
        message: expect.stringMatching(new RegExp(`^${name}.*\\[2, 3\\]`, 'i')),
      }),
    );
  });
});
