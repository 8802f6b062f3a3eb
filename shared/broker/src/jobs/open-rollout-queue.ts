import type { RolloutQueue } from './rollout-queue';

/** The queue of a run's rollout jobs; BullMQ is loaded with the first one. */
export async function openRolloutQueue(
  ...settings: ConstructorParameters<typeof RolloutQueue>
): Promise<RolloutQueue> {
  const queue = await import('./rollout-queue.js');
  return new queue.RolloutQueue(...settings);
}
