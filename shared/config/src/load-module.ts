import { existsSync } from 'node:fs';
import { resolve } from 'node:path';
import { ForgeError } from '@forge/errors';
import { createJiti } from 'jiti';

/**
 * The default export of a user's TypeScript or JavaScript file, relative to the working directory.
 *
 * @throws {ForgeError} CONFIG_MODULE_UNLOADABLE when the file is missing, does not run, or has no default export.
 */
export async function loadModule(path: string): Promise<unknown> {
  const file = resolve(path);
  if (!existsSync(file)) throw new ForgeError('CONFIG_MODULE_UNLOADABLE', `there is no module ${path}`, { path });
  let module: { default?: unknown };
  try {
    module = await createJiti(__filename).import<{ default?: unknown }>(file);
  } catch (cause) {
    const reason = cause instanceof Error ? cause.message : String(cause);
    throw new ForgeError('CONFIG_MODULE_UNLOADABLE', `the module ${path} does not load: ${reason}`, { path }, { cause });
  }
  if (module.default !== undefined) return module.default;
  throw new ForgeError('CONFIG_MODULE_UNLOADABLE', `the module ${path} has no default export`, { path });
}
