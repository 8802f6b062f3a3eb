import {
  environmentName,
  hasOwnRollout,
  namedSecret,
  needsGateway,
  type EnvironmentConfig,
  type Recipe,
  type ToolsConfig,
} from '@forge/config';
import { ForgeError } from '@forge/errors';
import {
  calculator,
  checkEnvironment,
  checkRollout,
  checkTools,
  defaultRollout,
  environmentRollout,
  guessNumber,
  joinTools,
  toolRollout,
  type Algorithm,
  type EnvironmentSet,
  type Rollout,
  type ToolSet,
} from '@forge/rl';
import { fromModule } from './from-module';

/**
 * The rollout of a recipe: the user's module, one with tools or an environment, else that of the algorithm. Null where agents
 * make it, by sessions of the policy service.
 *
 * @throws {ForgeError} CONFIG_MODULE_UNLOADABLE; CONFIG_INVALID when the algorithm has a rollout of its own.
 */
export async function loadRollout(
  recipe: Pick<Recipe, 'rollout'>,
  algorithm: Pick<Algorithm, 'name' | 'rollout'>,
): Promise<Rollout | null> {
  if (!hasOwnRollout(recipe)) return algorithm.rollout;
  if (algorithm.rollout !== defaultRollout) {
    const message = `rollout: found one beside algorithm ${algorithm.name}, which rolls out itself; leave it out, or take another algorithm`;
    throw new ForgeError('CONFIG_INVALID', message, { field: 'rollout' });
  }
  if (needsGateway(recipe)) return null;
  const {
    module,
    options,
    tools: named,
    environment,
    maxTurns,
    maxTokens,
    timeLimitMs,
    system,
  } = recipe.rollout;
  if (module !== undefined) return checkRollout(await fromModule(module, options), module);
  const bounds = {
    maxTurns,
    ...(maxTokens !== undefined && { maxTokens }),
    ...(timeLimitMs !== undefined && { timeLimitMs }),
    ...(system !== undefined && { system }),
  };
  const tools = named.length === 0 ? undefined : joinTools(await Promise.all(named.map(loadTools)));
  if (environment === undefined) return toolRollout({ ...bounds, tools: tools! });
  return environmentRollout({
    ...bounds,
    ...(tools && { tools }),
    environment: await loadEnvironment(environment),
    weight: environment.weight,
  });
}

async function loadTools(config: ToolsConfig): Promise<ToolSet> {
  switch (config.name) {
    case 'calculator':
      return calculator();
    case 'module':
      return checkTools(await fromModule(config.module, config.options), config.module);
  }
}

async function loadEnvironment(config: EnvironmentConfig): Promise<EnvironmentSet> {
  switch (config.name) {
    case 'guess-number':
      return guessNumber(config);
    case 'openenv': {
      const { apiKeyEnv } = config;
      const key = apiKeyEnv === undefined ? null : namedSecret(apiKeyEnv, 'apiKeyEnv of the environment');
      // Only who needs it pays for the client.
      return (await import('./openenv/openenv-environment.js')).openEnv(config, key);
    }
    case 'module': {
      const own = checkEnvironment(await fromModule(config.module, config.options), config.module);
      return { ...own, name: environmentName(config) };
    }
  }
}
