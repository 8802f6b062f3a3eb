import { mkdtemp } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { ForgeError } from '@forge/errors';
import { MAX_SOCKET_PATH_BYTES } from './socket-address';

/** Room for a slash and the name of a socket, such as replay-buffer-0. */
const NAME_BYTES = 24;
const RANDOM_PART = 'XXXXXX';
/** Where paths are short on every system that has unix sockets. */
const SHORT = '/tmp';
/** Reasons that lie with the directory that was chosen, not with the machine. */
const UNUSABLE = ['ENOENT', 'ENOTDIR', 'EACCES', 'EPERM', 'EROFS'];

/**
 * A new directory for sockets, which only its user may enter: below TMPDIR, or below /tmp where a path below TMPDIR is
 * too long for a socket.
 *
 * @throws {ForgeError} CONFIG_INVALID naming the directory that can't be used.
 */
export async function makeSocketDirectory(prefix = 'forge-', wanted = tmpdir()): Promise<string> {
  const chosen = resolve(wanted);
  const isShort = Buffer.byteLength(join(chosen, prefix + RANDOM_PART)) + NAME_BYTES <= MAX_SOCKET_PATH_BYTES;
  const parent = isShort ? chosen : SHORT;
  try {
    return await mkdtemp(join(parent, prefix));
  } catch (cause) {
    const { code = '', message } = cause as NodeJS.ErrnoException;
    if (!UNUSABLE.includes(code)) throw cause;
    const found = isShort
      ? `environment variable TMPDIR: found ${chosen}, in which no directory for sockets can be made`
      : `environment variable TMPDIR: found ${chosen}, which is too long for the path of a socket, and none can be made in ${SHORT}`;
    throw new ForgeError(
      'CONFIG_INVALID',
      `${found} (${message}); set TMPDIR to a directory that exists, that you may write, and whose path is short`,
      { variable: 'TMPDIR' },
      { cause },
    );
  }
}
