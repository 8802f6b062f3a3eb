import type { MetricState, Reduction } from '@forge/contracts';
import { ForgeError } from '@forge/errors';

/** Ways to make one number of the values recorded under a key. `STD` is the standard deviation of the population. */
export const Reduce = { MEAN: 'mean', SUM: 'sum', MAX: 'max', MIN: 'min', STD: 'std' } as const;
export type Reduce = Reduction;

/** The state of a single value. */
export function stateOf(value: number, reduce: Reduce): MetricState {
  switch (reduce) {
    case 'mean':
      return { reduce, sum: value, count: 1 };
    case 'sum':
      return { reduce, total: value };
    case 'max':
    case 'min':
      return { reduce, value };
    case 'std':
      return { reduce, sum: value, sumOfSquares: value ** 2, count: 1 };
  }
}

/**
 * The state of the values of both; their recorders and their order do not matter (but for float rounding).
 *
 * @throws {ForgeError} CONTRACT_INVALID_CALL naming both reductions when they differ.
 */
export function mergeStates(key: string, a: MetricState, b: MetricState): MetricState {
  if (a.reduce === 'mean' && b.reduce === 'mean')
    return { reduce: 'mean', sum: a.sum + b.sum, count: a.count + b.count };
  if (a.reduce === 'sum' && b.reduce === 'sum') return { reduce: 'sum', total: a.total + b.total };
  if (a.reduce === 'max' && b.reduce === 'max') return { reduce: 'max', value: Math.max(a.value, b.value) };
  if (a.reduce === 'min' && b.reduce === 'min') return { reduce: 'min', value: Math.min(a.value, b.value) };
  if (a.reduce === 'std' && b.reduce === 'std')
    return {
      reduce: 'std',
      sum: a.sum + b.sum,
      sumOfSquares: a.sumOfSquares + b.sumOfSquares,
      count: a.count + b.count,
    };
  throw new ForgeError(
    'CONTRACT_INVALID_CALL',
    `metric ${key}: recorded as ${a.reduce} and as ${b.reduce}; expected one reduction for one key`,
    { key, first: a.reduce, second: b.reduce },
  );
}

/** Whether no sum has grown beyond what a number holds. */
export function isFiniteState(state: MetricState): boolean {
  return Object.values(state).every((field) => typeof field === 'string' || Number.isFinite(field));
}

/** The number that people see. */
export function valueOf(state: MetricState): number {
  switch (state.reduce) {
    case 'mean':
      return state.count === 0 ? 0 : state.sum / state.count;
    case 'sum':
      return state.total;
    case 'max':
    case 'min':
      return state.value;
    case 'std': {
      if (state.count === 0) return 0;
      const mean = state.sum / state.count;
      // Rounding may make the difference of nearly equal numbers negative.
      return Math.sqrt(Math.max(0, state.sumOfSquares / state.count - mean ** 2));
    }
  }
}
