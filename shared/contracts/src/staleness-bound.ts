import { z } from 'zod';

/** A staleness bound as JSON and Redis keep it: policy versions, or `inf` for no bound. */
export const storedBoundSchema = z.union([z.int().min(0), z.literal('inf')]);

export type StoredBound = z.infer<typeof storedBoundSchema>;

/** The stored form of a bound; neither JSON nor Redis has an infinite number. */
export function storedBound(bound: number): StoredBound {
  return bound === Infinity ? 'inf' : bound;
}

/** The bound that a stored form, or its text, stands for. */
export function boundOf(stored: string | number): number {
  return stored === 'inf' ? Infinity : Number(stored);
}
