import { homedir } from 'node:os';
import { join } from 'node:path';

/** The user's home: `HOME`, else the one that the system knows. */
export function userHome(): string {
  return process.env.HOME || homedir();
}

/** The directory of the user's caches: `XDG_CACHE_HOME`, by default `~/.cache`. */
export function userCache(): string {
  return process.env.XDG_CACHE_HOME || join(userHome(), '.cache');
}
