import type { WeightsAnnouncement } from '@forge/contracts';
import type { Redis } from 'ioredis';
import type { RunBounds, RunSettings } from './run-bounds';
import { RunState } from './run-state';

/** A new run, of five steps with two candidates each unless `settings` say otherwise. */
export async function createRun(
  redis: Redis,
  id: string,
  settings: Partial<RunSettings> = {},
  bounds: Partial<RunBounds> = { inFlight: 100, groups: 100 },
): Promise<RunState> {
  const state = new RunState(redis, id, bounds);
  await state.create({ some: 'recipe' }, { maxStaleness: 1, candidatesPerBatch: 2, steps: 5, ...settings });
  return state;
}

/** An announcement of weights that no process reads. */
export const announcement = (version: number, epoch: number): WeightsAnnouncement => ({
  schemaVersion: 1,
  version,
  epoch,
  path: '/weights',
  sizeBytes: 1,
  sha256: 'a'.repeat(64),
});

/** Groups of two, one above and one below the mean. */
export const batchOf = (version: number, indices: number[]) => ({
  schemaVersion: 4 as const,
  version,
  groups: indices.map((index) => ({ index, advantages: [1, -1] })),
  statistics: {},
});
