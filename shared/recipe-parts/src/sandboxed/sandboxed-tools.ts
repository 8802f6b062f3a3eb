import type { ToolsConfig } from '@forge/config';
import { defineTools, type ToolSet } from '@forge/rl';
import { PartPool } from './part-pool';
import type { SandboxOptions } from './part-process';
import { SandboxedPart } from './sandboxed-part';

const SET_UP_MS = 30_000;

/**
 * The tools that a recipe lists, in a process of its own for each rollout.
 *
 * @throws {ForgeError} CONFIG_MODULE_UNLOADABLE
 */
export async function sandboxedTools(
  tools: readonly ToolsConfig[],
  options: SandboxOptions,
): Promise<ToolSet> {
  const pool = new PartPool({ tools }, options);
  const { isStateless } = await pool.facts();
  return defineTools(async (scope) => {
    const part = await SandboxedPart.open({ pool, scope, isStateless, timeoutMs: SET_UP_MS });
    return { tools: part.toolsOf(part.opened.tools), close: () => part.close() };
  });
}
