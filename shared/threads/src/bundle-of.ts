import { existsSync, readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';

/** Statement of a bundle about itself, in `bundle.json`. */
interface Manifest {
  /** Since the epoch: when bundling began. */
  builtAtMs: number;
  /** Files it is made of, ours and the lock file of the others, relative to the bundle. */
  inputs: string[];
}

/** The directory a compiled file is bundled into, with all that it imports. */
export function bundleDirectory(compiled: string): string {
  return compiled.replace(/\.js$/, '.bundle');
}

/**
 * File to start in place of a compiled one: its bundle (infra/bootstrap/bundle.mjs), which takes half the time to load
 * or less; the file itself where there is none, or one that is older than what it is made of.
 */
export function bundleOf(compiled: string): string {
  const directory = bundleDirectory(compiled);
  return isFresh(directory) ? join(directory, 'start.js') : compiled;
}

function isFresh(directory: string): boolean {
  const path = join(directory, 'bundle.json');
  if (!existsSync(path)) return false;
  const { builtAtMs, inputs } = JSON.parse(readFileSync(path, 'utf8')) as Manifest;
  return inputs.every((input) => {
    const stats = statSync(join(directory, input), { throwIfNoEntry: false });
    return stats !== undefined && stats.mtimeMs <= builtAtMs;
  });
}
