import { hasOwnRollout, needsGateway, type Recipe } from '@forge/config';
import { ForgeError } from '@forge/errors';
import {
  checkRollout,
  defaultRollout,
  environmentRollout,
  toolRollout,
  type Algorithm,
  type Rollout,
} from '@forge/rl';
import { fromModule } from './from-module';
import { loadEnvironment, loadTools } from './load-surroundings';
import { namespaceTools } from './processes/network-namespace';
import { rolloutProcesses } from './rollout-processes';
import { sandboxedEnvironment } from './sandboxed/sandboxed-environment';
import { sandboxedTools } from './sandboxed/sandboxed-tools';
import type { SandboxOptions } from './sandboxed/part-process';

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
    sandbox,
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
  const place = sandbox ? sandboxOf(recipe.rollout) : null;
  const tools =
    named.length === 0 ? undefined : await (place ? sandboxedTools(named, place) : loadTools(named));
  const maxConcurrent = place?.parallel ?? Infinity;
  if (environment === undefined) return toolRollout({ ...bounds, tools: tools!, maxConcurrent });
  const isHere = place !== null && environment.name !== 'openenv';
  const world = await (isHere ? sandboxedEnvironment(environment, place) : loadEnvironment(environment));
  world.slots.narrow(maxConcurrent);
  const { weight } = environment;
  return environmentRollout({ ...bounds, ...(tools && { tools }), environment: world, weight });
}

/** Bounds of the processes in which a rollout runs its tools and its environment. */
function sandboxOf(rollout: Recipe['rollout']): SandboxOptions {
  const { parallel, memoryMb } = rolloutProcesses({ rollout })!;
  const namespaces = rollout.network === 'closed' ? namespaceTools() : undefined;
  return { env: rollout.env, parallel, memoryMb: memoryMb!, namespaces };
}
