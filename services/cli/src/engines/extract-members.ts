import { createWriteStream } from 'node:fs';
import { chmod, mkdir } from 'node:fs/promises';
import { dirname } from 'node:path';
import { pipeline } from 'node:stream/promises';
import { ForgeError } from '@forge/errors';
import { openPromise, type ZipFile } from 'yauzl';

/** The permissions in the attributes that a zip of Unix keeps. */
const MODE_BITS = 0o777;

/**
 * Writes members of a zip, which a wheel is, to the files that `placeOf` gives for their names; null leaves one out. Names
 * that point out of the zip are refused.
 *
 * @throws {ForgeError} CONTRACT_DOWNLOAD_CORRUPT when it is no zip, or a member does not unpack.
 */
export async function extractMembers(zip: string, placeOf: (name: string) => string | null): Promise<void> {
  try {
    const file: ZipFile = await openPromise(zip);
    for await (const entry of file.eachEntry()) {
      const place = entry.fileName.endsWith('/') ? null : placeOf(entry.fileName);
      if (place === null) continue;
      await mkdir(dirname(place), { recursive: true });
      await pipeline(await file.openReadStreamPromise(entry), createWriteStream(place, { flush: true }));
      const mode = (entry.externalFileAttributes >>> 16) & MODE_BITS;
      if (mode !== 0) await chmod(place, mode);
    }
  } catch (error) {
    // A disk that is full is no fault of the zip.
    if ((error as NodeJS.ErrnoException).syscall !== undefined) throw ForgeError.from(error);
    const reason = error instanceof Error ? error.message : String(error);
    const message = `${zip} can't be unpacked: ${reason}; remove it and try again`;
    throw new ForgeError('CONTRACT_DOWNLOAD_CORRUPT', message, { path: zip }, { cause: error });
  }
}
