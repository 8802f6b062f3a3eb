import { ForgeError } from '@forge/errors';

/** @throws {ForgeError} CONFIG_INVALID naming `field` when `pattern` is not a regular expression. */
export function regularExpression(pattern: string, flags: string, field: string): RegExp {
  try {
    return new RegExp(pattern, flags);
  } catch (cause) {
    const message = `${field}: found /${pattern}/${flags}, expected a regular expression: ${(cause as Error).message}`;
    throw new ForgeError('CONFIG_INVALID', message, { field, pattern }, { cause });
  }
}
