import type { HostTensor } from '@forge/engine';
import type { Sequence } from './sequence';

/** An int64 vector. */
export function int64(values: readonly number[]): HostTensor {
  return { dtype: 'int64', shape: [values.length], data: BigInt64Array.from(values, BigInt) };
}

/** The tokens that go in, int64 [B, T]. */
export function tokenFeeds(rows: readonly (readonly number[])[]): HostTensor {
  return { ...int64(rows.flat()), shape: [rows.length, rows[0]!.length] };
}

/**
 * The sampling of `trips` tokens a row.
 *
 * Shapes: trips, filters int64 []; uniforms, given [B, trips]; temperature, greedy, topK, topP [B, 1].
 */
export function samplingFeeds(rows: readonly Sequence[], trips: number): Record<string, HostTensor> {
  const samplings = rows.map(({ request }) => request.sampling);
  const uniforms = new Float32Array(rows.length * trips);
  rows.forEach((row, at) => {
    for (let t = 0; t < trips; t++) uniforms[at * trips + t] = row.uniform(t);
  });
  const isFiltering = samplings.some(
    ({ temperature, topK, topP }) => temperature > 0 && (topK > 0 || topP < 1),
  );
  return {
    trips: scalar(trips),
    filters: scalar(isFiltering ? 1 : 0),
    uniforms: { dtype: 'float32', shape: [rows.length, trips], data: uniforms },
    given: tokensOf(rows.length, trips, () => DRAWN),
    temperature: column(samplings.map(({ temperature }) => temperature || 1)),
    greedy: column(samplings.map(({ temperature }) => (temperature === 0 ? 1 : 0))),
    topK: column(samplings.map(({ topK }) => topK)),
    topP: column(samplings.map(({ topP }) => topP)),
  };
}

/** One trip of `count` rows whose token nobody wants. */
export function idleSampling(count: number): Record<string, HostTensor> {
  return givenTokens(count, [DRAWN], 1);
}

/** Trips of `count` rows in which all take the same given tokens, one after the other. */
export function givenTokens(
  count: number,
  tokenIds: readonly number[],
  temperature: number,
): Record<string, HostTensor> {
  const all = (value: number): HostTensor => column(new Array<number>(count).fill(value));
  const shape = [count, tokenIds.length];
  return {
    ...{ trips: scalar(tokenIds.length), filters: scalar(0) },
    uniforms: { dtype: 'float32', shape, data: new Float32Array(count * tokenIds.length) },
    given: tokensOf(count, tokenIds.length, (t) => tokenIds[t]!),
    ...{ temperature: all(temperature), greedy: all(0), topK: all(0), topP: all(1) },
  };
}

/** In place of a given token: it is drawn. */
const DRAWN = -1;

function tokensOf(rows: number, trips: number, token: (trip: number) => number): HostTensor {
  return { ...int64(Array.from({ length: rows * trips }, (_, i) => token(i % trips))), shape: [rows, trips] };
}

function scalar(value: number): HostTensor {
  return { ...int64([value]), shape: [] };
}

function column(values: readonly number[]): HostTensor {
  return { dtype: 'float32', shape: [values.length, 1], data: Float32Array.from(values) };
}
