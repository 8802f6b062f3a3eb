import { accessSync, constants, statSync } from 'node:fs';
import { delimiter, join } from 'node:path';
import { ForgeError } from '@forge/errors';

/**
 * The file of a program, as a shell finds it: by its path, else in the directories of `path`.
 *
 * @throws {ForgeError} CONFIG_PATH_UNUSABLE where there is none that may be run.
 */
export function findProgram(program: string, path = ''): string {
  const files = program.includes('/') ? [program] : path.split(delimiter).map((dir) => join(dir, program));
  const found = files.find(isProgram);
  if (found !== undefined) return found;
  const where = program.includes('/')
    ? 'a file that may be run'
    : 'one in a directory of PATH, or a path to it';
  const message = `rollout.command: found no program ${program}, expected ${where}`;
  throw new ForgeError('CONFIG_PATH_UNUSABLE', message, { path: program });
}

function isProgram(file: string): boolean {
  try {
    accessSync(file, constants.X_OK);
    return statSync(file).isFile();
  } catch {
    return false;
  }
}
