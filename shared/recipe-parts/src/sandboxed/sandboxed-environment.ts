import type { EnvironmentConfig } from '@forge/config';
import { defineEnvironment, type Environment, type EnvironmentSet, type RolloutScope } from '@forge/rl';
import { PartPool } from './part-pool';
import type { SandboxOptions } from './part-process';
import { SandboxedPart } from './sandboxed-part';

/**
 * The environment that a recipe names, in a process of its own for each rollout.
 *
 * @throws {ForgeError} CONFIG_MODULE_UNLOADABLE
 */
export async function sandboxedEnvironment(
  environment: EnvironmentConfig,
  options: SandboxOptions,
): Promise<EnvironmentSet> {
  const pool = new PartPool({ environment }, options);
  const bounds = (await pool.facts()).environment!;
  return defineEnvironment(async (scope) => {
    const { timeoutMs } = bounds;
    return actingIn(
      await SandboxedPart.open({ pool, scope, timeoutMs, isStateless: false }),
      scope,
      timeoutMs,
    );
  }, bounds);
}

/** The environment as the policy acts in it. */
function actingIn(part: SandboxedPart, { signal: given }: RolloutScope, timeoutMs: number): Environment {
  return {
    async reset(_sample, { signal }) {
      const { observation, tools } = await part.call('reset', null, signal);
      if (tools.length > 0) this.tools = part.toolsOf(tools);
      return observation;
    },
    step: (action, { turn, signal }) => part.call('step', { action, turn }, signal),
    close: () => part.close(),
    ...(part.opened.hasOutcome && {
      outcome: () => part.call('outcome', null, AbortSignal.any([given, AbortSignal.timeout(timeoutMs)])),
    }),
  };
}
