import { randomBytes } from 'node:crypto';
import { chmodSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { ForgeError } from '@forge/errors';

const BYTES = 24;

/**
 * The file with the password of the own Redis in `dir`, made where there is none, for its user's eyes only. It is a
 * part of a redis.conf: a user that lists processes sees arguments, but not what is in it.
 */
export function passwordFileIn(dir: string): string {
  mkdirSync(dir, { recursive: true, mode: 0o700 });
  chmodSync(dir, 0o700);
  const file = join(dir, 'password.conf');
  try {
    writeFileSync(file, `requirepass ${randomBytes(BYTES).toString('hex')}\n`, { mode: 0o600, flag: 'wx' });
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error;
  }
  return file;
}

/**
 * `url` with the password in `file`.
 *
 * @throws {ForgeError} CONFLICT_STATE when there is none.
 */
export function withPasswordFrom(url: string, file: string): string {
  let text: string;
  try {
    text = readFileSync(file, 'utf8');
  } catch (cause) {
    const message = `the password of the run's own Redis can't be read from ${file}: ${(cause as Error).message}`;
    throw new ForgeError('CONFLICT_STATE', message, { file }, { cause });
  }
  const complete = new URL(url);
  complete.password = /^requirepass (\S+)$/m.exec(text)?.[1] ?? '';
  return complete.href;
}

/** An address as it may be shown: without user, password and options. */
export function withoutPassword(url: string): string {
  if (/^(unix:)?\//.test(url)) return url.replace(/\?.*$/s, '');
  return url.replace(/^([a-z+]+:\/\/)?.*@/is, '$1').replace(/\?.*$/s, '');
}
