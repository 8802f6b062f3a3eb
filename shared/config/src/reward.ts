import { basename, extname } from 'node:path';
import { z } from 'zod';
import { apiKeyEnv, endpointUrl } from './endpoint';
import { named, userModule } from './sections';
import { scorerFields } from './worker';

const weight = z.number().default(1).describe('factor of this reward in the sum');

const judge = z.strictObject({
  name: z.literal('judge'),
  weight,
  url: endpointUrl.describe(
    'an endpoint like that of OpenAI up to its version, as https://api.openai.com/v1',
  ),
  model: z.string().min(1).describe('the model it is asked for'),
  prompt: z
    .string()
    .includes('{completion}', 'a text with {completion} in it')
    .optional()
    .describe(
      'what it is asked, with {prompt}, {answer}, {completion}, {minScore} and {maxScore}; left out: how right, complete and clear the answer is',
    ),
  minScore: z.number().default(0).describe('the score that is reward 0'),
  maxScore: z.number().default(10).describe('the score that is reward 1'),
  unreadableReward: z
    .number()
    .optional()
    .describe('for a reply without a score; left out: the completion has failed (CONTRACT_JUDGE_UNREADABLE)'),
  apiKeyEnv,
  maxTokens: z.int().min(1).max(1_000_000).default(1024).describe('tokens of a reply at most'),
  timeoutMs: z
    .int()
    .min(1)
    .max(3_600_000)
    .default(20_000)
    .describe('an attempt that takes longer has failed'),
  attempts: z
    .int()
    .min(1)
    .max(100)
    .default(4)
    .describe('for a judge that does not answer, or says 429 or 5xx'),
  requestsPerMinute: z.int().min(1).max(1_000_000).default(600).describe('of one replica, at most'),
  parallel: z.int().min(1).max(4096).default(32).describe('requests of one replica at the same time'),
  cacheEntries: z
    .int()
    .min(0)
    .max(10_000_000)
    .default(10_000)
    .describe('replies one replica keeps: the same question is asked once'),
});

const rewardModel = z.strictObject({
  name: z.literal('model'),
  weight,
  model: z
    .string()
    .min(1)
    .describe(
      'a sequence classifier with one label: a directory, or its name on the Hugging Face hub; a run notes the commit',
    ),
  ...scorerFields,
  maxTokens: z
    .int()
    .min(1)
    .optional()
    .describe('tokens of prompt and completion at most; left out: the positions of the model'),
  truncation: z
    .enum(['error', 'start', 'end'])
    .default('error')
    .describe('what a longer one loses; error: the completion has failed (CAPACITY_PROMPT_TOO_LONG)'),
  mean: z.number().default(0).describe('the score that is reward 0'),
  std: z.number().gt(0).default(1).describe('the reward is (score - mean) / std'),
});

const ownModule = z.strictObject({ name: z.literal('module'), weight, ...userModule });
const reward = z.discriminatedUnion('name', [
  z.strictObject({ name: z.literal('exact'), weight }),
  z.strictObject({
    name: z.literal('math'),
    weight,
    tolerance: z.number().gt(0).default(1e-6).describe('largest difference that still counts as equal'),
    partialCredit: z.number().default(0.1).describe('for the right number outside the answer tags'),
  }),
  z.strictObject({
    name: z.literal('answer'),
    weight,
    tolerance: z
      .number()
      .min(0)
      .default(1e-5)
      .describe('largest difference that still counts as equal, relative for answers below 1'),
  }),
  z.strictObject({
    name: z.literal('json'),
    weight,
    partialCredit: z
      .number()
      .default(0.5)
      .describe('for an object that is not the answer, times the share of keys that are right'),
  }),
  z.strictObject({
    name: z.literal('thinking'),
    weight,
    partialReward: z.number().default(0.2).describe('for an unpaired or empty think tag'),
    fullReward: z.number().default(1).describe('for a non-empty think block'),
  }),
  z.strictObject({
    name: z.literal('length'),
    weight,
    targetTokens: z
      .int()
      .min(1)
      .describe('length with reward 1; the reward falls linearly to 0 at 0 and twice that'),
  }),
  z.strictObject({
    name: z.literal('format'),
    weight,
    pattern: z.string().min(1).describe('regular expression the text must match'),
    flags: z
      .string()
      .regex(/^[imsu]*$/)
      .default('s')
      .describe('its flags'),
  }),
  z.strictObject({
    name: z.literal('words'),
    weight,
    words: z.array(z.string().min(1)).min(1).describe('words looked for in the text'),
  }),
  z.strictObject({
    name: z.literal('code'),
    weight,
    timeMs: z
      .int()
      .min(1)
      .max(600_000)
      .default(2_000)
      .describe('a program, with its tests, that takes longer is ended and has passed none'),
    maxSteps: z
      .int()
      .min(1)
      .default(10_000_000)
      .describe('loop turns and calls of a program, with its tests: the same on every machine, unlike time'),
    memoryMb: z.int().min(1).max(1024).default(64).describe('memory of a program'),
    parallel: z.int().min(1).max(64).default(2).describe('programs one replica runs at the same time'),
  }),
  judge,
  rewardModel,
  ownModule,
]);

export const rewardTimeoutMs = z
  .int()
  .min(1)
  .default(60_000)
  .describe('the rewards of one completion that take longer together have failed');

/** One reward function; `{ module: ./mine.ts }` is one of the user's own. */
export const rewardSchema = named(
  reward.superRefine((config, context) => {
    if (config.name !== 'judge' || config.minScore < config.maxScore) return;
    const message = `a number < maxScore, which is ${config.maxScore}`;
    context.addIssue({ code: 'custom', path: ['minScore'], message });
  }),
);

export type RewardConfig = z.output<typeof reward>;
export type RewardModelConfig = z.output<typeof rewardModel>;
/** The same with what has a default left out. */
export type RewardInput = z.input<typeof reward> | Omit<z.input<typeof ownModule>, 'name'>;

/** The name of a reward in metrics and in `evaluation.reward`: that of a module is its file's, without extension. */
export function rewardName(config: RewardConfig): string {
  return config.name === 'module' ? basename(config.module, extname(config.module)) : config.name;
}

/** The reward model among rewards, and its place in the recipe; null where there is none. */
export function rewardModelOf({
  rewards,
}: {
  rewards: readonly RewardConfig[];
}): { reward: RewardModelConfig; field: string } | null {
  const at = rewards.findIndex(({ name }) => name === 'model');
  const reward = rewards[at];
  return reward?.name === 'model' ? { reward, field: `rewards.${at}` } : null;
}

/** The recipe with some keys of its reward model changed. */
export function withRewardModel<R extends { rewards: RewardConfig[] }>(
  recipe: R,
  changed: Partial<Omit<RewardModelConfig, 'name'>>,
): R {
  const rewards = recipe.rewards.map((one) => (one.name === 'model' ? { ...one, ...changed } : one));
  return { ...recipe, rewards };
}
