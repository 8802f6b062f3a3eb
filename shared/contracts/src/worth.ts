import { z } from 'zod';
import { MAX_TOKENS, shown, typedArray } from './bounded';

/** An episode's worth: one number, or one per token of the episode, [T], 0 where the mask is 0. */
export type Worth = number | readonly number[];

/** The same in a message, where one per token is an array of 4 bytes each. */
export type CarriedWorth = number | Float32Array;

/** A worth that is handed to the trainer by hand, in either form. */
export const worthSchema = z.custom<Worth | CarriedWorth>((value) => worthFault(value) === null, {
  error: ({ input }) => worthFault(input) ?? '',
});

const MAX_EPISODES = 1024;

/** The worth of each episode of a group; null for one that is not trained on. Looks at no more than the first that does not fit. */
export const carriedWorthsSchema = z
  .custom<(CarriedWorth | null)[]>((value) => worthsFault(value) === null, {
    error: ({ input }) => worthsFault(input) ?? '',
  })
  .meta({
    type: 'array',
    items: { anyOf: [{ type: ['number', 'null'] }, typedArray('Float32Array', { type: 'number' })] },
    maxItems: MAX_EPISODES,
  });

export function carriedWorth(worth: Worth): CarriedWorth {
  return typeof worth === 'number' ? worth : Float32Array.from(worth);
}

function worthsFault(value: unknown): string | null {
  if (!Array.isArray(value)) return 'expected an array';
  if (value.length > MAX_EPISODES) return `expected at most ${MAX_EPISODES} of them, found ${value.length}`;
  for (const [at, one] of value.entries()) {
    if (one === null) continue;
    const fault = Array.isArray(one) ? 'expected a finite number or a Float32Array' : worthFault(one);
    if (fault !== null) return `${fault} at ${at}`;
  }
  return null;
}

function worthFault(value: unknown): string | null {
  if (Number.isFinite(value)) return null;
  if (!(Array.isArray(value) || value instanceof Float32Array))
    return `expected a finite number or an array of such, found ${shown(value)}`;
  if (value.length > MAX_TOKENS) return `expected at most ${MAX_TOKENS} numbers, found ${value.length}`;
  for (let at = 0; at < value.length; at++) {
    const one: unknown = value[at];
    if (!Number.isFinite(one)) return `expected finite numbers, found ${shown(one)}`;
  }
  return null;
}
