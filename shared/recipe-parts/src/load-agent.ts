import { commandEnvironment, type Recipe } from '@forge/config';
import { AgentProgram } from './agent/agent-program';
import { ClosedNetwork } from './agent/closed-network';
import { findProgram } from './agent/find-program';
import { namespaceTools } from './processes/network-namespace';
import { rolloutProcesses } from './rollout-processes';

const TIME_LIMIT_MS = 3_600_000;

/**
 * The agent that a recipe starts for each rollout; null: it starts none.
 *
 * @throws {ForgeError} CONFIG_PATH_UNUSABLE where its program is not there; CONFIG_INVALID where it may have no network of its
 *   own.
 */
export function loadAgent({ rollout }: Pick<Recipe, 'rollout'>): AgentProgram | null {
  const { command, env, memoryMb, timeLimitMs = TIME_LIMIT_MS } = rollout;
  if (command === undefined) return null;
  findProgram(command[0]!, { ...commandEnvironment(), ...env }['PATH']);
  const network = rollout.network === 'closed' ? new ClosedNetwork(namespaceTools()) : undefined;
  const { parallel } = rolloutProcesses({ rollout })!;
  return new AgentProgram({ command, env, timeLimitMs, memoryMb, parallel, network });
}
