import { accumulate, clipScale, firstNonFinite, normOf, sumOfSquares, type Gradients } from './gradients';

const gradients = (entries: Record<string, number[]>): Gradients =>
  new Map(Object.entries(entries).map(([name, values]) => [name, Float32Array.from(values)]));

const squares = (entries: Record<string, number[]>): Map<string, number> =>
  new Map([...gradients(entries)].map(([name, values]) => [name, sumOfSquares(values)]));

describe('gradients', () => {
  it('accumulates entry by entry', () => {
    const total = gradients({ a: [1, 2], b: [3] });
    accumulate(total, gradients({ a: [10, 20], b: [-3] }));
    expect(total).toEqual(gradients({ a: [11, 22], b: [0] }));
  });

  it('takes the norm over all tensors together', () => {
    expect(normOf(squares({ a: [1, 1, 1, 1, 2], b: [1] }))).toBe(3);
  });

  it('scales down to the bound and never up', () => {
    expect(clipScale(8, 2)).toBe(0.25);
    expect(clipScale(1, 2)).toBe(1);
    expect(clipScale(0, 2)).toBe(1);
  });

  it('names the first tensor that holds NaN or infinity, and none where squares overflow float32', () => {
    expect(firstNonFinite(squares({ a: [1], b: [0, Number.NaN], c: [Infinity] }))).toBe('b');
    expect(firstNonFinite(squares({ a: [1e30], b: [0] }))).toBeUndefined();
  });
});
