import { join } from 'node:path';

/** Where recipes are looked up by name: the working directory's own first, then those that come with Forge. */
export function recipeDirs(): string[] {
  return ['recipes', join(__dirname, '..', '..', '..', 'infra', 'recipes')];
}
