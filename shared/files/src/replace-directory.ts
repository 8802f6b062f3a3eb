import { randomUUID } from 'node:crypto';
import { rename, rm } from 'node:fs/promises';
import { dirname } from 'node:path';
import { absentAs } from './absent-as';
import { flush } from './replace-file';

/**
 * Puts the directory `from`, which is flushed, in the place of `to`. A rename can't replace a directory that is not
 * empty, so an older one steps aside first, as `<to>.<uuid>.tmp`, and is deleted last.
 */
export async function replaceDirectory(from: string, to: string): Promise<void> {
  const old = `${to}.${randomUUID()}.tmp`;
  await absentAs(undefined, () => rename(to, old));
  await rename(from, to);
  await flush(dirname(to));
  await rm(old, { recursive: true, force: true });
}
