import { availableParallelism } from 'node:os';
import type { Recipe } from '@forge/config';

/** Processes of rollouts wait for the policy most of their time. */
const PER_PROCESSOR = 4;
const SANDBOX_MB = 512;

/** Processes beside a policy that do the work of its rollouts. */
export interface RolloutProcesses {
  /** Rollouts that have them at the same time. */
  parallel: number;
  /** Processes of a rollout, or groups of them. */
  perRollout: number;
  /** Memory of each; null: any. */
  memoryMb: number | null;
}

/** The processes that a recipe gives its rollouts: agents by command, or a sandbox; null: none. */
export function rolloutProcesses({ rollout }: Pick<Recipe, 'rollout'>): RolloutProcesses | null {
  const { command, sandbox, tools, environment, memoryMb } = rollout;
  const parallel = rollout.parallel ?? PER_PROCESSOR * availableParallelism();
  if (command !== undefined) return { parallel, perRollout: 1, memoryMb: memoryMb ?? null };
  if (!sandbox) return null;
  const isHere = environment !== undefined && environment.name !== 'openenv';
  return {
    parallel,
    perRollout: Number(tools.length > 0) + Number(isHere),
    memoryMb: memoryMb ?? SANDBOX_MB,
  };
}
