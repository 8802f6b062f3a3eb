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

const command = z
  .array(z.string().min(1).max(4096))
  .min(1)
  .max(256)
  .describe(
    'a program and its arguments: an agent of your own, started once for each rollout, that calls the policy like a model of OpenAI or Anthropic',
  );
const env = z
  .record(z.string().regex(/^[A-Za-z_][A-Za-z0-9_]*$/, 'a name of letters, digits and _'), z.string())
  .default({})
  .describe('variables of the environment of command, or of the sandbox');
const parallel = z
  .int()
  .min(1)
  .max(4096)
  .optional()
  .describe(
    'processes of command, or rollouts in the sandbox, that one policy runs at the same time; left out: four for each processor',
  );
const memoryMb = z
  .int()
  .min(16)
  .max(1_048_576)
  .optional()
  .describe(
    'memory of the processes of one command together, or of one in the sandbox, beyond which they are ended; left out: any for a command, 512 for the sandbox',
  );

const network = z
  .enum(['open', 'closed'])
  .default('open')
  .describe(
    'what command, or the sandbox, may reach: what the policy may, or (closed, on Linux) nothing; command still reaches the policy then',
  );

/** Least memory of a process of the sandbox, in MB. */
const SANDBOX_MB = 128;

/** Work of a group between prompt and reward: one answer, or with tools, an environment or a module more. */
export const rolloutSchema = z
  .strictObject({
    module: file.optional(),
    options,
    tools: z.array(named(tools)).max(64).default([]).describe('tools that the model may call'),
    environment: named(environment).optional().describe('a world in which the model acts, turn by turn'),
    sessions: z
      .boolean()
      .default(false)
      .describe(
        'agents that run elsewhere take the rollouts as sessions, and call the policy through the gateway',
      ),
    command: command.optional(),
    sandbox: z
      .boolean()
      .default(false)
      .describe(
        'tools and environment run in processes of their own, bounded in time, memory and what they may reach, and not in that of the policy',
      ),
    env,
    parallel,
    memoryMb,
    network,
    maxTurns: z
      .int()
      .min(1)
      .max(10_000)
      .optional()
      .describe('answers of the model at most, calls of tools included; left out: 8, of an agent 100'),
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
      .describe(
        'a rollout that takes longer begins no further turn; left out: any time. One of an agent (sessions, command) is given up; left out: an hour',
      ),
    system: z.string().min(1).optional().describe('message of the system, unless the prompt has one'),
    truncated,
  })
  .superRefine((rollout, context) => {
    for (const { key, message } of contradictions(rollout))
      context.addIssue({ code: 'custom', path: [key], message });
  })
  .transform((rollout) => ({
    ...rollout,
    maxTurns: rollout.maxTurns ?? (needsGateway({ rollout }) ? 100 : 8),
  }))
  .prefault({});

interface Given {
  module?: string | undefined;
  command?: readonly string[] | undefined;
  sessions: boolean;
  sandbox: boolean;
  tools: readonly unknown[];
  environment?: { name: string } | undefined;
  env: Readonly<Record<string, string>>;
  parallel?: number | undefined;
  memoryMb?: number | undefined;
  network: 'open' | 'closed';
  system?: string | undefined;
}

/** Fields that exclude each other, and what is expected instead. */
function contradictions(given: Given): { key: keyof Given; message: string }[] {
  const [whole, other] = (['module', 'command', 'sessions'] as const).filter((key) => Boolean(given[key]));
  const isGiven = {
    tools: given.tools.length > 0,
    environment: given.environment !== undefined,
    system: given.system !== undefined && whole !== 'module',
  };
  const found: { key: keyof Given; message: string }[] = [];
  if (other !== undefined)
    found.push({ key: other, message: `none beside ${whole}: one of them makes the rollouts` });
  if (whole !== undefined)
    for (const key of ['tools', 'environment', 'system'] as const)
      if (isGiven[key]) found.push({ key, message: `none beside ${whole}, which rolls out itself` });
  const ofCommand = {
    env: Object.keys(given.env).length > 0,
    parallel: given.parallel !== undefined,
    memoryMb: given.memoryMb !== undefined,
    network: given.network === 'closed',
  };
  if (given.command === undefined && !given.sandbox)
    for (const key of ['env', 'parallel', 'memoryMb', 'network'] as const)
      if (ofCommand[key]) found.push({ key, message: 'none without command or sandbox, which it is for' });
  if (given.sandbox) found.push(...problemsOfSandbox(given));
  return found;
}

function problemsOfSandbox({ tools, environment, memoryMb }: Given): { key: keyof Given; message: string }[] {
  const found: { key: keyof Given; message: string }[] = [];
  if (tools.length === 0 && (environment === undefined || environment.name === 'openenv'))
    found.push({ key: 'sandbox', message: 'none without tools or an environment that runs here' });
  if (memoryMb !== undefined && memoryMb < SANDBOX_MB) {
    const message = `>= ${SANDBOX_MB} with sandbox, whose processes take half of that before they load a module`;
    found.push({ key: 'memoryMb', message });
  }
  return found;
}

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
  return rollout.module !== undefined || hasTurns({ rollout }) || needsGateway({ rollout });
}

/** Whether the rollouts of a recipe are made by agents, which call the policy through the gateway. */
export function needsGateway({ rollout }: { rollout: Pick<Given, 'sessions' | 'command'> }): boolean {
  return rollout.sessions || rollout.command !== undefined;
}

/** Whether rollouts of a recipe are conversations with tools or in an environment. */
export function hasTurns({ rollout }: { rollout: RolloutConfig }): boolean {
  return rollout.tools.length > 0 || rollout.environment !== undefined;
}
