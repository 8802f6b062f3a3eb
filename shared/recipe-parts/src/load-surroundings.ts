import { environmentName, namedSecret, type EnvironmentConfig, type ToolsConfig } from '@forge/config';
import {
  calculator,
  checkEnvironment,
  checkTools,
  guessNumber,
  joinTools,
  type EnvironmentSet,
  type ToolSet,
} from '@forge/rl';
import { fromModule } from './from-module';

/**
 * The tools that a recipe lists, as one set.
 *
 * @throws {ForgeError} CONFIG_MODULE_UNLOADABLE
 */
export async function loadTools(listed: readonly ToolsConfig[]): Promise<ToolSet> {
  return joinTools(await Promise.all(listed.map(loadSet)));
}

async function loadSet(config: ToolsConfig): Promise<ToolSet> {
  switch (config.name) {
    case 'calculator':
      return calculator();
    case 'module':
      return checkTools(await fromModule(config.module, config.options), config.module);
  }
}

/**
 * The environment that a recipe names.
 *
 * @throws {ForgeError} CONFIG_MODULE_UNLOADABLE; CONFIG_INVALID where its key is not set.
 */
export async function loadEnvironment(config: EnvironmentConfig): Promise<EnvironmentSet> {
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
