import { ForgeError } from '@forge/errors';
import { freeDiskBytes } from '@forge/files';
import { bytesInWords } from './download-watch';

/**
 * Refuses work for which a directory has no room, before it begins. `variable` is the one of the
 * environment that names it.
 *
 * @throws {ForgeError} CAPACITY_DISK_FULL.
 */
export async function requireSpace(
  directory: string,
  { what, bytes, variable }: { what: string; bytes: number; variable: string },
): Promise<void> {
  const freeBytes = await freeDiskBytes(directory);
  if (bytes <= freeBytes) return;
  const message = `${what} takes ${bytesInWords(bytes)} in ${directory}, where ${bytesInWords(freeBytes)} are free; free space, or set ${variable} to a directory on another disk`;
  throw new ForgeError('CAPACITY_DISK_FULL', message, { path: directory });
}
