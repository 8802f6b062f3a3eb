import { samplingSchema } from '@forge/contracts';
import { z } from 'zod';
import { adapterSchema } from './adapter';
import { algorithmSchema, type AlgorithmConfig } from './algorithm';
import { completedAlgorithm } from './completed-algorithm';
import { rewardName, rewardSchema, rewardTimeoutMs, type RewardConfig } from './reward';
import { environmentName, needsGateway, rolloutSchema, type RolloutConfig } from './rollout';
import { limitsFields } from './limits';
import { date, section } from './sections';
import { sinkSchema } from './sink';
import { taskSchema } from './task';
import { keepCheckpoints, publishDtype, rollbackFields, runTrainerFields, trainerFields } from './trainer';
import { maxStalenessSchema, resolvedTuning, tuningSchema } from './tuning';
import { scorerFields, workerFields } from './worker';

const replicas = z.int().min(1).max(256).default(1).describe('processes of this service');

export const recipeSchema = z
  .strictObject({
    kind: z.literal('rl').default('rl').describe('reinforcement learning'),
    name: z
      .string()
      .regex(/^[a-z0-9][a-z0-9-]*$/)
      .describe('letters, digits and dashes; begins the run id'),
    seed: z.int().min(0).max(0xffff_ffff).default(1).describe('same seed, same run'),
    date,
    model: z
      .string()
      .min(1)
      .describe(
        'base checkpoint: a directory, relative to the working directory, else org/name or org/name@revision on the Hugging Face hub; a run notes the commit',
      ),
    steps: z.int().min(1).max(10_000_000).describe('optimizer steps'),
    maxStaleness: maxStalenessSchema
      .default(0)
      .describe(
        'policy versions a trained token may be old; 0 is synchronous, .inf fully asynchronous; auto, or { auto: { most: 16 } }, lets the run tune itself below a bound (see tuning)',
      ),
    stopAtAccuracy: z
      .number()
      .gt(0)
      .max(1)
      .optional()
      .describe('ends the run once held-out accuracy reaches it'),
    task: taskSchema,
    algorithm: algorithmSchema,
    adapter: adapterSchema.optional(),
    batch: section({
      groups: z.int().min(1).max(65_536).default(32).describe('prompts trained on per step'),
      oversample: z
        .number()
        .min(1)
        .max(16)
        .default(1)
        .describe('rolls out groups * oversample prompts and trains on informative ones (dynamic sampling)'),
      refill: z
        .number()
        .min(0)
        .max(16)
        .optional()
        .describe(
          'where fewer than groups of these are informative, up to this many times as many are rolled out again in place of the others, batch by batch; 0: the batch is smaller; left out: 1 with algorithm dapo, else 0',
        ),
      stragglers: z
        .enum(['wait', 'drop'])
        .default('wait')
        .describe(
          'groups that take so long that maxStaleness leaves them to the next batch only, or to none: wait for them, so that hardly anything is discarded; or drop them and roll out others in their place, which is faster, and trains on fewer long answers',
        ),
    }),
    sampling: samplingSchema.prefault({}).describe('how training completions are drawn'),
    rollout: rolloutSchema,
    rewards: z
      .array(rewardSchema)
      .default([])
      .describe(
        'their weighted sum is the reward; none beside an environment or an agent that gives its own; an agent that gives none is judged by them',
      ),
    trainer: section({
      ...trainerFields({ learningRate: 3e-4, warmupSteps: 10 }),
      ...runTrainerFields,
      checkpointEverySteps: z
        .int()
        .min(1)
        .default(25)
        .describe('steps between checkpoints; one more is written at the end of a run'),
      keepCheckpoints,
      rollback: section(rollbackFields),
      keepVersions: z
        .int()
        .min(2)
        .max(1_000)
        .default(4)
        .describe('newest weight versions kept on disk, with the optimizer; more while a policy uses them'),
      keepSeconds: z
        .number()
        .min(0)
        .max(3600)
        .default(3)
        .describe('younger versions are kept, too: a Redis that dies may go back by two seconds'),
      publishDtype,
    }),
    policy: section({
      replicas,
      ...workerFields,
      jobConcurrency: z
        .union([z.int().min(1).max(1024), z.literal('auto')], {
          error: 'a whole number from 1 to 1024, or auto',
        })
        .default(16)
        .describe(
          'rollout jobs one replica works on at a time; one whose rollouts agents make waits for them in its place; auto: as many as fill maxBatch, and tuning says how many are in flight',
        ),
    }),
    reference: section({
      replicas: z
        .int()
        .min(0)
        .max(256)
        .default(1)
        .describe('processes of the service; 0 in the resolved recipe of an algorithm that needs none'),
      model: z
        .string()
        .min(1)
        .optional()
        .describe(
          'a model with the same tokenizer as `model`, named like it: a teacher, say; left out: `model` as it was at the start',
        ),
      ...scorerFields,
    }),
    reward: section({ replicas, timeoutMs: rewardTimeoutMs }),
    gateway: section({
      replicas: z
        .int()
        .min(0)
        .max(256)
        .default(1)
        .describe(
          'processes of the service that agents call; 0 in the resolved recipe of a run whose rollouts need none',
        ),
      host: z
        .string()
        .min(1)
        .optional()
        .describe(
          'interface it listens at, 0.0.0.0 for every one; left out: that of FORGE_HTTP_HOST, by default this machine alone',
        ),
      port: z
        .int()
        .min(1)
        .max(65_535)
        .optional()
        .describe(
          'port of the first replica, the next has the next; left out: 8000 or a free one, which it keeps when it is started again',
        ),
      maxCalls: z
        .int()
        .min(1)
        .max(65_536)
        .default(1024)
        .describe(
          'calls under way at one replica; an agent whose call is one too many is told to come again',
        ),
    }),
    tuning: tuningSchema,
    evaluation: section({
      everySteps: z.int().min(0).default(10).describe('steps between held-out evaluations; 0 is never'),
      samples: z
        .int()
        .min(1)
        .max(100_000)
        .default(256)
        .describe('held-out problems per evaluation, decoded greedily'),
      reward: z
        .string()
        .min(1)
        .optional()
        .describe('the reward that decides correctness (>= 1 is correct); left out: the first'),
    }),
    limits: section(limitsFields),
    tracing: section({
      sampleRatio: z
        .number()
        .min(0)
        .max(1)
        .default(0.01)
        .describe(
          'share of rollouts whose traces are kept with the run; those shown to people, failed and slow ones are always; 0 is none of all',
        ),
      slowSeconds: z
        .number()
        .gt(0)
        .max(86_400)
        .default(10)
        .describe('a rollout that takes a policy longer is slow'),
    }),
    output: section({
      dir: z.string().min(1).default('runs').describe('directory that holds one directory per run'),
      sampleRollouts: z
        .int()
        .min(0)
        .max(10_000)
        .default(4)
        .describe('rollouts kept per step for people to read'),
      sinks: z
        .array(sinkSchema)
        .max(16)
        .default([])
        .describe('where metrics go besides metrics.jsonl: console, jsonl, tensorboard, mlflow'),
      record: z
        .boolean()
        .default(false)
        .describe('keep what is trained, for forge replay; --record of forge run sets it'),
    }),
  })
  .superRefine((recipe, context) => {
    const { algorithm, adapter, rewards, rollout, trainer, evaluation, batch, limits, reference } = recipe;
    if (typeof rollout.truncated === 'object' && comparesComponents(algorithm)) {
      const message = `keep or drop with ${algorithm.name === 'gdpo' ? 'gdpo' : 'algorithm.shaping.normalizeComponents'}, which takes the rewards one by one and not their sum`;
      context.addIssue({ code: 'custom', path: ['rollout', 'truncated'], message });
    }
    if (algorithm.name === 'opd' && reference.model === undefined) {
      const message = 'a model with the same tokenizer, the teacher of algorithm opd';
      context.addIssue({ code: 'custom', path: ['reference', 'model'], message });
    }
    if (needsGateway(recipe) && recipe.gateway.replicas === 0) {
      const message = 'at least 1: agents call the policy through it';
      context.addIssue({ code: 'custom', path: ['gateway', 'replicas'], message });
    }
    const { maxStaleness, tuning } = resolvedTuning(recipe);
    if (tuning.pace && maxStaleness === Infinity) {
      const message = 'a number with tuning.pace: the bound below which the run tunes itself';
      context.addIssue({ code: 'custom', path: ['maxStaleness'], message });
    }
    const consumed = candidatesPerBatch({ batch });
    if (limits.heldGroups < consumed) {
      const message = `at least ${consumed}, the groups one batch consumes`;
      context.addIssue({ code: 'custom', path: ['limits', 'heldGroups'], message });
    }
    if (trainer.torch.nodes > 1 && trainer.torch.address === undefined) {
      const message = 'host:port of the first machine, with nodes above 1';
      context.addIssue({ code: 'custom', path: ['trainer', 'torch', 'address'], message });
    }
    if (adapter !== undefined && trainer.publishDtype !== 'F32') {
      const message = 'F32 with an adapter, which is small as it is';
      context.addIssue({ code: 'custom', path: ['trainer', 'publishDtype'], message });
    }
    if (adapter !== undefined && 'critic' in algorithm) {
      const message =
        'none with ppo, whose value model has all its weights; an algorithm without a critic takes one';
      context.addIssue({ code: 'custom', path: ['adapter'], message });
    }
    const names = rewardNames(recipe);
    if (names.length === 0) {
      const message =
        'at least one, or an environment that gives its own as rollout.environment, or agents that do';
      context.addIssue({ code: 'custom', path: ['rewards'], message });
    }
    names.forEach((name, i) => {
      if (names.indexOf(name) === i) return;
      const ofOthers = name === AGENT_REWARD ? ['rewards'] : ['rollout', 'environment'];
      context.addIssue({
        code: 'custom',
        path: i < rewards.length ? ['rewards', i] : ofOthers,
        message: `a name other than ${name}, which is taken`,
      });
    });
    if (rollout.sessions && evaluation.everySteps > 0) {
      const message = '0 with rollout.sessions: agents elsewhere take no held-out samples';
      context.addIssue({ code: 'custom', path: ['evaluation', 'everySteps'], message });
    }
    const weights = 'weights' in algorithm ? Object.keys(algorithm.weights ?? {}) : [];
    for (const name of weights.filter((weighed) => !names.includes(weighed))) {
      const message = `a name in rewards: ${names.join(', ')}`;
      context.addIssue({ code: 'custom', path: ['algorithm', 'weights', name], message });
    }
    if (evaluation.reward !== undefined && !names.includes(evaluation.reward)) {
      const path = ['evaluation', 'reward'];
      context.addIssue({ code: 'custom', path, message: `a name in rewards: ${names.join(', ')}` });
    }
  })
  .transform(({ evaluation, gateway, ...recipe }) => {
    const { jobConcurrency, ...tuned } = resolvedTuning(recipe);
    return {
      ...recipe,
      ...tuned,
      policy: { ...recipe.policy, jobConcurrency },
      gateway: needsGateway(recipe) ? gateway : { ...gateway, replicas: 0 },
      algorithm: completedAlgorithm(recipe),
      evaluation: { ...evaluation, reward: evaluation.reward ?? rewardNames(recipe)[0]! },
    };
  });

function comparesComponents(algorithm: AlgorithmConfig): boolean {
  return 'shaping' in algorithm && (algorithm.name === 'gdpo' || algorithm.shaping.normalizeComponents);
}

/** A run of reinforcement learning with every default filled in. */
export type Recipe = z.output<typeof recipeSchema>;

/** Parts of a recipe that make up the reward of a rollout. */
interface Rewarded {
  rewards: readonly RewardConfig[];
  rollout: Pick<RolloutConfig, 'environment' | 'sessions' | 'command'>;
}

/** The name of the reward that an agent gives itself, in place of those of the recipe. */
export const AGENT_REWARD = 'agent';

/** Names of what makes up the reward: the rewards, and the environment or the agent that gives its own. */
function rewardNames({ rewards, rollout }: Rewarded): string[] {
  const { environment } = rollout;
  const ofEnvironment = environment === undefined ? [] : [environmentName(environment)];
  return [...rewards.map(rewardName), ...ofEnvironment, ...(needsGateway({ rollout }) ? [AGENT_REWARD] : [])];
}

/** The reward of a rollout that each of them gives 1. */
export function fullReward({ rewards, rollout }: Rewarded): number {
  const weights = [...rewards, ...(rollout.environment ? [rollout.environment] : [])];
  return weights.reduce((sum, { weight }) => sum + Math.max(0, weight), 0) || 1;
}

/** Groups rolled out for one batch; dynamic sampling trains on `batch.groups` of them. */
export function candidatesPerBatch({ batch }: Pick<Recipe, 'batch'>): number {
  return Math.ceil(batch.groups * batch.oversample);
}

/** Groups that are rolled out anew for one batch at most, in place of uninformative ones. */
export function refillPerBatch({ batch, algorithm }: Pick<Recipe, 'batch' | 'algorithm'>): number {
  const { refill = algorithm.name === 'dapo' ? 1 : 0 } = batch;
  return Math.ceil(candidatesPerBatch({ batch }) * refill);
}

/** Whether the run has a reference model; a resolved recipe has replicas of it only where its algorithm needs one. */
export function usesReference({ reference }: Pick<Recipe, 'reference'>): boolean {
  return reference.replicas > 0;
}

/** Whether the trainer learns a value model beside the policy; nobody knows it of a user's module before that is loaded. */
export function usesCritic({ algorithm }: Pick<Recipe, 'algorithm'>): boolean {
  return 'critic' in algorithm;
}
