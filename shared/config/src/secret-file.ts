import { isUtf8 } from 'node:buffer';
import { readFileSync } from 'node:fs';
import { ForgeError } from '@forge/errors';

/**
 * A secret: the value of `variable`, or the contents of the file that `<variable>_FILE` names, without the white space
 * around it. Null where neither is set.
 *
 * @throws {ForgeError} CONFIG_INVALID when both are set, or the file is empty; CONFIG_FILE_UNREADABLE.
 */
export function readSecret(variable: string): string | null {
  const value = process.env[variable] || null;
  const path = process.env[`${variable}_FILE`];
  if (!path) return value;
  if (value !== null) {
    const message = `environment variables ${variable} and ${variable}_FILE are both set; leave one of them out`;
    throw new ForgeError('CONFIG_INVALID', message, { variable });
  }
  const secret = readNamedFile(`${variable}_FILE`, path).trim();
  if (secret !== '') return secret;
  throw new ForgeError('CONFIG_INVALID', `environment variable ${variable}_FILE: ${path} is empty`, { path });
}

/** Shorter ones can be guessed. */
const MIN_TOKEN_LENGTH = 16;

/**
 * A secret, as `readSecret`, that whoever knows it may do much with.
 *
 * @throws {ForgeError} as `readSecret`; CONFIG_INVALID when it is too short.
 */
export function readToken(variable: string): string | null {
  const token = readSecret(variable);
  if (token === null || token.length >= MIN_TOKEN_LENGTH) return token;
  const message = `environment variable ${variable}: found ${token.length} characters, expected at least ${MIN_TOKEN_LENGTH}`;
  throw new ForgeError('CONFIG_INVALID', message, { variable });
}

/**
 * A secret that a recipe names by its variable, in `field`.
 *
 * @throws {ForgeError} as `readSecret`; CONFIG_INVALID when it is not set.
 */
export function namedSecret(variable: string, field: string): string {
  const secret = readSecret(variable);
  if (secret !== null) return secret;
  const message = `environment variable ${variable}: not set, but ${field} names it; set it, or ${variable}_FILE to a file that has it`;
  throw new ForgeError('CONFIG_INVALID', message, { variable, field });
}

/** @throws {ForgeError} CONFIG_FILE_UNREADABLE naming the variable that names the file. */
export function readNamedFile(variable: string, path: string): string {
  let bytes: Buffer;
  try {
    bytes = readFileSync(path);
  } catch (cause) {
    const reason = cause instanceof Error ? cause.message : String(cause);
    throw new ForgeError(
      'CONFIG_FILE_UNREADABLE',
      `environment variable ${variable}: ${reason}`,
      { variable, path },
      { cause },
    );
  }
  if (isUtf8(bytes)) return bytes.toString('utf8').replace(/^\ufeff/, '');
  // Not the byte that was found, which is a part of the secret.
  const message = `environment variable ${variable}: ${path} is not UTF-8; save it as UTF-8`;
  throw new ForgeError('CONFIG_FILE_UNREADABLE', message, { variable, path });
}
