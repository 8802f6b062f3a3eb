import { basename, extname } from 'node:path';
import { z } from 'zod';
import { named, userModule } from './sections';

const weight = z.number().default(1).describe('factor of this reward in the sum');

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
  ownModule,
]);

export const rewardTimeoutMs = z
  .int()
  .min(1)
  .default(60_000)
  .describe('the rewards of one completion that take longer together have failed');

/** One reward function; `{ module: ./mine.ts }` is one of the user's own. */
export const rewardSchema = named(reward);

export type RewardConfig = z.output<typeof reward>;
/** The same with what has a default left out. */
export type RewardInput = z.input<typeof reward> | Omit<z.input<typeof ownModule>, 'name'>;

/** The name of a reward in metrics and in `evaluation.reward`: that of a module is its file's, without extension. */
export function rewardName(config: RewardConfig): string {
  return config.name === 'module' ? basename(config.module, extname(config.module)) : config.name;
}
