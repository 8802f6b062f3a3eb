import type { Backlog } from './backlog';
import type { RolloutQueue } from './rollout-queue';

/** Depth and age of the work between the services of a run, by the names of docs/metrics.md. */
export async function queueGauges(
  queue: Pick<RolloutQueue, 'counts' | 'waitingMs'>,
  backlog: () => Promise<Backlog>,
): Promise<Record<string, number>> {
  const [counts, waitingMs, { groups, batches, buffered }] = await Promise.all([
    queue.counts(),
    queue.waitingMs(),
    backlog(),
  ]);
  const { waiting = 0, prioritized = 0, delayed = 0 } = counts;
  return {
    'queue/rollouts/depth': waiting + prioritized + delayed,
    'queue/rollouts/age_s': waitingMs / 1000,
    'queue/groups/depth': groups.depth,
    'queue/groups/age_s': groups.ageMs / 1000,
    'queue/buffer/depth': buffered,
    'queue/batches/depth': batches.depth,
    'queue/batches/age_s': batches.ageMs / 1000,
  };
}
