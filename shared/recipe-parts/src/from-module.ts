import { loadModule } from '@forge/config';
import { ForgeError } from '@forge/errors';

/**
 * Export of a user's module: the thing itself, or what its factory makes of the options.
 *
 * @throws {ForgeError} CONFIG_MODULE_UNLOADABLE
 */
export async function fromModule(path: string, options: Record<string, unknown>): Promise<unknown> {
  const exported = await loadModule(path);
  if (typeof exported !== 'function') return exported;
  try {
    return await (exported as (options: Record<string, unknown>) => unknown)(options);
  } catch (cause) {
    const reason = cause instanceof Error ? cause.message : String(cause);
    throw new ForgeError(
      'CONFIG_MODULE_UNLOADABLE',
      `the factory of ${path} failed: ${reason}`,
      { path },
      { cause },
    );
  }
}
