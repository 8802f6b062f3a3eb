import { createHash, randomBytes } from 'node:crypto';

/** A new secret of an agent. */
export function newSessionKey(): string {
  return `sk-forge-${randomBytes(32).toString('base64url')}`;
}

/** The form in which a key is kept: its SHA-256 in hexadecimal. */
export function hashOfKey(key: string): string {
  return createHash('sha256').update(key).digest('hex');
}
