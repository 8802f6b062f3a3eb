import { createHash } from 'node:crypto';
import { mkdir, readdir, readFile, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { ForgeError } from '@forge/errors';
import { runProgram } from './run-program';
import type { PinnedPackage } from './tensorflow-release';

/**
 * Unpacks a package of npm into `dir`, without its dependencies and without running any of its scripts. npm itself fetches
 * it: the registry, proxy, certificates and tokens of the user's configuration count.
 *
 * @throws {ForgeError} TRANSIENT_INDEX_UNREACHABLE with npm's reason; CONTRACT_DOWNLOAD_CORRUPT for another hash;
 *   CONFIG_PATH_UNUSABLE without npm or tar.
 */
export async function unpackNpmPackage({ name, version, sha512 }: PinnedPackage, dir: string): Promise<void> {
  const what = `${name}@${version}`;
  const packed = `${dir}.packed`;
  await mkdir(packed, { recursive: true });
  await mkdir(dir, { recursive: true });
  const { status, stderr } = await runProgram('npm', [
    'pack',
    what,
    '--ignore-scripts',
    '--loglevel=error',
    '--pack-destination',
    packed,
  ]);
  if (status === null) throw missing('npm', stderr);
  const [file] = await readdir(packed);
  if (status !== 0 || file === undefined) {
    const reason = stderr.trim().split('\n').slice(0, 3).join('; ');
    const message = `npm can't fetch ${what}: ${reason}; see that "npm view ${name}" works here`;
    throw new ForgeError('TRANSIENT_INDEX_UNREACHABLE', message, { package: what });
  }
  const archive = join(packed, file);
  const found = createHash('sha512')
    .update(await readFile(archive))
    .digest('base64');
  if (found !== sha512) {
    const message = `${what}: found sha512 ${found}, expected ${sha512}; the registry of npm gives another file than was published`;
    throw new ForgeError('CONTRACT_DOWNLOAD_CORRUPT', message, { package: what, found, expected: sha512 });
  }
  const tar = await runProgram('tar', [
    '-xzf',
    archive,
    '-C',
    dir,
    '--strip-components=1',
    '--no-same-owner',
  ]);
  if (tar.status === null) throw missing('tar', tar.stderr);
  if (tar.status !== 0)
    throw new ForgeError('CONTRACT_DOWNLOAD_CORRUPT', `${archive}: ${tar.stderr}`, { package: what });
  await rm(packed, { recursive: true });
}

function missing(program: string, reason: string): ForgeError {
  const message = `${program} can't be started (${reason}); put it on the PATH`;
  return new ForgeError('CONFIG_PATH_UNUSABLE', message, { path: program });
}
