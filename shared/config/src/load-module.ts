import { existsSync } from 'node:fs';
import { resolve } from 'node:path';
import { ForgeError } from '@forge/errors';
import { createJiti } from 'jiti';

/** Packages that a user's module may import wherever it lies, zod for arguments of tools: the same instances that run here. */
const PUBLIC_PACKAGES = [
  '@forge/rl',
  '@forge/graph',
  '@forge/contracts',
  '@forge/errors',
  '@forge/telemetry',
  'zod',
];

/**
 * The default export of a user's TypeScript or JavaScript file, relative to the working directory.
 *
 * @throws {ForgeError} CONFIG_MODULE_UNLOADABLE when the file is missing, does not run, or has no default export.
 */
export async function loadModule(path: string): Promise<unknown> {
  const file = resolve(path);
  if (!existsSync(file))
    throw new ForgeError('CONFIG_MODULE_UNLOADABLE', `there is no module ${path}`, { path });
  let exported: unknown;
  try {
    exported = await importModule(file);
  } catch (cause) {
    const reason = cause instanceof Error ? cause.message : String(cause);
    throw new ForgeError(
      'CONFIG_MODULE_UNLOADABLE',
      `the module ${path} does not load: ${reason}`,
      { path },
      { cause },
    );
  }
  const value = defaultExport(exported);
  if (value !== undefined) return value;
  throw new ForgeError('CONFIG_MODULE_UNLOADABLE', `the module ${path} has no default export`, { path });
}

/**
 * The exports of a TypeScript or JavaScript file. Our packages, and those of `packages` (name to file), are the
 * instances that run here.
 *
 * @throws whatever the module throws.
 */
export function importModule(
  file: string,
  packages: Readonly<Record<string, string>> = {},
): Promise<unknown> {
  const alias = Object.fromEntries(PUBLIC_PACKAGES.map((name) => [name, require.resolve(name)]));
  return createJiti(__filename, { alias: { ...alias, ...packages }, interopDefault: false }).import(file);
}

/** `export default`, or `module.exports` of CommonJS. */
function defaultExport(exported: unknown): unknown {
  const isModule =
    typeof exported === 'object' && exported !== null && ('default' in exported || '__esModule' in exported);
  return isModule ? (exported as { default?: unknown }).default : exported;
}
