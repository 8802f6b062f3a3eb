import { randomUUID } from 'node:crypto';
import { existsSync } from 'node:fs';
import { rename, rm } from 'node:fs/promises';
import { basename, join } from 'node:path';
import type { TensorflowPlace } from '@forge/engine';
import { ForgeError } from '@forge/errors';
import { bindingSources, compileBinding } from './compile-binding';
import type { InstallWatch } from './install-tensorflow';
import { BINDING_PACKAGES } from './tensorflow-release';

/**
 * Compiles the binding for the libraries that `FORGE_LIBTENSORFLOW` names, into their directory, unless it is there.
 *
 * @throws {ForgeError} ENGINE_NOT_INSTALLED naming what that directory lacks; as `bindingSources` and `compileBinding`.
 */
export async function bindOwnTensorflow(
  { directory, binding, missing }: TensorflowPlace,
  { say }: Pick<InstallWatch, 'say'>,
): Promise<void> {
  const said = `${directory}, which FORGE_LIBTENSORFLOW names,`;
  if (missing.length === 0) {
    say(`${said} is complete`);
    return;
  }
  const headers = join(directory, 'include');
  const needed = missing.filter((file) => file !== basename(binding));
  const header = join('include', 'tensorflow', 'c', 'c_api.h');
  const lacking = existsSync(join(directory, header)) ? needed : [...needed, header];
  if (lacking.length > 0) {
    const message = `${said} lacks ${lacking.join(', ')}; name the directory tensorflow of an unpacked wheel, or unset it`;
    throw new ForgeError('ENGINE_NOT_INSTALLED', message, { engine: 'tensorflow', directory });
  }
  const work = join(directory, `binding.${randomUUID()}.tmp`);
  try {
    const sources = await bindingSources(BINDING_PACKAGES, work);
    say('compiling the binding');
    const made = join(work, basename(binding));
    await compileBinding(sources, { headers, libraries: directory }, made);
    await rename(made, binding);
  } finally {
    await rm(work, { recursive: true, force: true });
  }
}
