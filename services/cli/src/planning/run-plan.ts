import type { Recipe } from '@forge/config';
import { parameterCount, parameterShapes, type ModelConfig } from '@forge/model';
import { rolloutProcesses } from '@forge/recipe-parts';
import { memoryNeed } from '../running/redis-memory';
import { diskPlan } from './disk-plan';
import { adviceFor, totalBytes, type Advice } from './fit';
import { memoryPlan, type Parts, type RunModels, type ServicePlan } from './memory-plan';
import { rolloutPlan, type RolloutPlan } from './rollout-plan';
import { timePlan, type Speed, type TimePlan } from './time-plan';

/** Everything a run takes, beside what this machine has. */
export interface RunPlan {
  recipe: string;
  model: string;
  parameters: Parts;
  parameterCount: number;
  promptTokens: number;
  rollout: RolloutPlan;
  services: ServicePlan[];
  /** Processes of agents or of the sandbox, of all policies together, beside the services; null: none. */
  processes: { count: number; memoryMb: number | null } | null;
  redisBytes: number;
  memory: { bytes: number; availableBytes: number; fits: boolean };
  disk: { parts: Parts; bytes: number; availableBytes: number; fits: boolean };
  time: TimePlan;
  advice: Advice[];
}

export interface Machine {
  memoryBytes: number;
  diskBytes: number;
  speed: Speed;
}

/** Bytes of memory left to this process and those it starts, the limit of its container included. */
export function availableMemory(): number {
  return process.availableMemory();
}

/** Parameters by the part of the model that they belong to. */
function parametersByPart(config: ModelConfig): Parts {
  const parts: Record<string, number> = {};
  for (const [name, shape] of parameterShapes(config)) {
    const part = /embed_tokens/.test(name)
      ? 'embedding'
      : /lm_head/.test(name)
        ? 'head'
        : /norm/.test(name)
          ? 'norms'
          : /self_attn/.test(name)
            ? 'attention'
            : 'feed-forward';
    parts[part] = (parts[part] ?? 0) + shape.reduce((product, dim) => product * dim, 1);
  }
  return parts;
}

/** The plan of a resolved recipe on a machine. */
export function runPlan(
  recipe: Recipe,
  models: RunModels,
  promptTokens: number,
  { memoryBytes, diskBytes, speed }: Machine,
): RunPlan {
  const { config } = models;
  const services = memoryPlan(recipe, models, promptTokens);
  const redisBytes = memoryNeed(recipe, promptTokens).total;
  const bytes = totalBytes(services);
  const rollout = rolloutPlan(recipe, config, promptTokens);
  const tokens = recipe.batch.groups * recipe.algorithm.groupSize * rollout.contextTokens;
  const disk = diskPlan(recipe, config, tokens);
  const diskNeed = Object.values(disk).reduce((sum, one) => sum + one, 0);
  return {
    recipe: recipe.name,
    model: recipe.model,
    parameters: parametersByPart(config),
    parameterCount: parameterCount(config),
    promptTokens,
    rollout,
    services,
    processes: processesOf(recipe),
    redisBytes,
    memory: { bytes, availableBytes: memoryBytes, fits: bytes <= memoryBytes },
    disk: { parts: disk, bytes: diskNeed, availableBytes: diskBytes, fits: diskNeed <= diskBytes },
    time: timePlan(recipe, models, promptTokens, speed),
    advice: [
      ...adviceFor(recipe, models, promptTokens, memoryBytes),
      ...diskAdvice(recipe, diskNeed, diskBytes),
    ],
  };
}

function processesOf(recipe: Recipe): RunPlan['processes'] {
  const processes = rolloutProcesses(recipe);
  if (processes === null) return null;
  const { parallel, perRollout, memoryMb } = processes;
  return { count: recipe.policy.replicas * parallel * perRollout, memoryMb };
}

function diskAdvice(recipe: Recipe, bytes: number, available: number): Advice[] {
  if (bytes <= available) return [];
  const { keepVersions, keepCheckpoints } = recipe.trainer;
  return [
    ...(keepVersions > 2 ? ['trainer.keepVersions=2'] : []),
    ...(keepCheckpoints > 1 ? ['trainer.keepCheckpoints=1'] : []),
    'output.dir=DIRECTORY of another disk',
  ].map((change) => ({ change, bytes }));
}
