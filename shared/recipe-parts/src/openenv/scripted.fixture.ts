import { rolloutSchema, type OpenEnvConfig } from '@forge/config';
import type { Sample } from '@forge/contracts';
import { environmentRollout, type EnvironmentSet } from '@forge/rl';
import { playRollout, type PlayOptions } from '../scripted.fixture';
import { openEnv } from './openenv-environment';

export { call, type Said } from '../scripted.fixture';

export const sample: Sample = { id: 's1', prompt: 'Find the number.', answer: '42' };

/** A group in the environment, whose policy answers by `script`. */
export async function play(
  environment: EnvironmentSet,
  script: Parameters<typeof playRollout>[1],
  { maxTurns = 8, ...options }: Omit<PlayOptions, 'sample'> = {},
) {
  const rollout = environmentRollout({ environment, maxTurns });
  const { played, episodes } = await playRollout(rollout, script, { sample, maxTurns, ...options });
  const named = played.map(({ messages, tools }) => ({ messages, tools: tools.map(({ name }) => name) }));
  return { played: named, episodes };
}

/** The environment of a recipe that names the server. */
export function environmentAt(
  url: string,
  options: Partial<OpenEnvConfig> = {},
  { key = null, pingMs }: { key?: string | null; pingMs?: number } = {},
): EnvironmentSet {
  const given = { name: 'openenv', url, ...options };
  return openEnv(rolloutSchema.parse({ environment: given }).environment as OpenEnvConfig, key, pingMs);
}
