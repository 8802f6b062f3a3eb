import { randomBytes } from 'node:crypto';

/** 72 random bits as 12 characters: what travels with every call had better be short. */
export function shortId(): string {
  return randomBytes(9).toString('base64url');
}
