import type { MetricState } from '@forge/contracts';
import fc from 'fast-check';
import { mergeStates, Reduce, stateOf, valueOf } from './metric-state';

const merged = (reduce: Reduce, values: readonly number[]): MetricState =>
  values.map((value) => stateOf(value, reduce)).reduce((a, b) => mergeStates('k', a, b));

describe('metric states', () => {
  it('reduce as torchforge does', () => {
    const two = mergeStates(
      'k',
      { reduce: 'mean', sum: 10, count: 2 },
      { reduce: 'mean', sum: 20, count: 3 },
    );
    expect(valueOf(two)).toBe(6);
    expect(valueOf(merged(Reduce.SUM, [10, 15]))).toBe(25);
    expect(valueOf(merged(Reduce.MAX, [5, 10, 3]))).toBe(10);
    expect(valueOf(merged(Reduce.MIN, [5, 10, 3]))).toBe(3);
    expect(valueOf({ reduce: 'std', sum: 0, sumOfSquares: 0, count: 0 })).toBe(0);
    expect(valueOf(merged(Reduce.STD, [5]))).toBe(0);
    const five7 = merged(Reduce.STD, [5, 7]);
    expect(five7).toEqual({ reduce: 'std', sum: 12, sumOfSquares: 74, count: 2 });
    expect(valueOf(five7)).toBe(1);
  });

  it('give the same however the values are spread over processes', () => {
    const integers = fc.array(fc.integer({ min: -1000, max: 1000 }), { minLength: 2, maxLength: 20 });
    fc.assert(
      fc.property(integers, fc.nat(), fc.constantFrom(...Object.values(Reduce)), (values, cut, reduce) => {
        const at = 1 + (cut % (values.length - 1));
        const parts = mergeStates('k', merged(reduce, values.slice(at)), merged(reduce, values.slice(0, at)));
        expect(parts).toEqual(merged(reduce, values));
      }),
    );
  });

  it('refuse another reduction, naming both', () => {
    expect(() => mergeStates('k', stateOf(1, Reduce.MEAN), stateOf(1, Reduce.SUM))).toThrow(
      expect.objectContaining({
        code: 'CONTRACT_INVALID_CALL',
        message: 'metric k: recorded as mean and as sum; expected one reduction for one key',
      }),
    );
  });
});
