import { availableParallelism } from 'node:os';

/** Processes of rollouts wait for the policy most of their time. */
const PER_PROCESSOR = 4;

/** Processes of rollouts that one policy has at the same time, unless the recipe says (`rollout.parallel`). */
export function defaultParallel(): number {
  return PER_PROCESSOR * availableParallelism();
}
