import { basename, extname } from 'node:path';
import { z } from 'zod';
import { openEnvSchema } from './openenv';
import { named, userModule } from './sections';

const { module: file, options } = userModule;

const ownTools = z.strictObject({ name: z.literal('module'), ...userModule });
const tools = z.discriminatedUnion('name', [z.strictObject({ name: z.literal('calculator') }), ownTools]);

const weight = z.number().default(1).describe('factor of the rewards of its steps in the sum');
const ownEnvironment = z.strictObject({ name: z.literal('module'), weight, ...userModule });
const environment = z.discriminatedUnion('name', [
  z.strictObject({
    name: z.literal('guess-number'),
    weight,
    partialCredit: z
      .number()
      .min(0)
      .lt(1)
      .default(0)
      .describe('share of the reward that ruling numbers out gives, guess by guess'),
  }),
  openEnvSchema,
  ownEnvironment,
]);

const truncated = z
  .union([
    z.enum(['keep', 'drop']),
    z.strictObject({
      reward: z
        .number()
        .min(-1e6)
        .max(1e6)
        .describe('what a rollout is worth that was cut off, whatever it was scored'),
    }),
  ])
  .default('keep')
  .describe(
    'what becomes of a rollout of several turns that was cut off: it keeps its reward, or is dropped: not trained on, but its reward counts for its group and in metrics; or `{ reward: ... }`, one for all such',
  );

/** Work of a group between prompt and reward: one answer, or with tools, an environment or a module more. */
export const rolloutSchema = z
  .strictObject({
    module: file.optional(),
    options,
    tools: z.array(named(tools)).max(64).default([]).describe('tools that the model may call'),
    environment: named(environment).optional().describe('a world in which the model acts, turn by turn'),
    maxTurns: z
      .int()
      .min(1)
      .max(10_000)
      .default(8)
      .describe('answers of the model at most, calls of tools included'),
    maxTokens: z
      .int()
      .min(1)
      .max(1_048_576)
      .optional()
      .describe('tokens of all its answers together at most; left out: as many as the model has room for'),
    timeLimitMs: z
      .int()
      .min(1)
      .max(86_400_000)
      .optional()
      .describe('a rollout that takes longer begins no further turn; left out: any time'),
    system: z.string().min(1).optional().describe('message of the system, unless the prompt has one'),
    truncated,
  })
  .superRefine(({ module: own, tools: given, environment: world }, context) => {
    const refuse = (key: string, message: string): void => {
      context.addIssue({ code: 'custom', path: [key], message });
    };
    if (own === undefined) return;
    if (given.length > 0) refuse('tools', 'none beside module, which rolls out itself');
    if (world !== undefined) refuse('environment', 'none beside module, which rolls out itself');
  })
  .prefault({});

export type RolloutConfig = z.output<typeof rolloutSchema>;
/** Fate of rollouts that were cut off. */
export type Truncated = z.output<typeof truncated>;
export type ToolsConfig = z.output<typeof tools>;
export type EnvironmentConfig = z.output<typeof environment>;

/** The name of an environment in rewards and metrics: that of a module is its file's, without extension. */
export function environmentName(config: EnvironmentConfig): string {
  return config.name === 'module' ? basename(config.module, extname(config.module)) : config.name;
}

/** Whether a recipe says what its rollouts do; else their algorithm does. */
export function hasOwnRollout({ rollout }: { rollout: RolloutConfig }): boolean {
  return rollout.module !== undefined || hasTurns({ rollout });
}

/** Whether rollouts of a recipe are conversations with tools or in an environment. */
export function hasTurns({ rollout }: { rollout: RolloutConfig }): boolean {
  return rollout.tools.length > 0 || rollout.environment !== undefined;
}
