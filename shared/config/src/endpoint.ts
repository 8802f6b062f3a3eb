import { z } from 'zod';

/** Address of a server of others. */
export const endpointUrl = z
  .url({ protocol: /^https?$/ })
  .refine(isPlain, 'an address without user, password, query and fragment; a key comes by apiKeyEnv');

/** Name of the variable that has the key of a server of others. */
export const apiKeyEnv = z
  .string()
  .regex(/^[A-Z][A-Z0-9_]*_KEY$/)
  .optional()
  .describe('variable of the environment with the key, or with _FILE the file that has it; left out: none');

/** Whether an address has its place in a recipe, which everyone may read. */
function isPlain(address: string): boolean {
  if (!URL.canParse(address)) return true;
  const { username, password, search, hash } = new URL(address);
  return `${username}${password}${search}${hash}` === '';
}
