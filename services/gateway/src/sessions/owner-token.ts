import { randomBytes } from 'node:crypto';
import { link, readFile, rm, writeFile } from 'node:fs/promises';
import { absentAs } from '@forge/files';

/**
 * The token of the run's owner: the one that was given, else the one in `file`, which is made where it is missing. All
 * gateways of a run find the same.
 */
export async function ownerToken(given: string | null, file: string): Promise<string> {
  if (given !== null) return given;
  const kept = await absentAs(null, () => readFile(file, 'utf8'));
  if (kept !== null) return kept.trim();
  const draft = `${file}.${randomBytes(8).toString('hex')}.tmp`;
  await writeFile(draft, `${randomBytes(32).toString('base64url')}\n`, { mode: 0o600, flag: 'wx' });
  try {
    // The file appears whole, and only once.
    await link(draft, file);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error;
  } finally {
    await rm(draft, { force: true });
  }
  return (await readFile(file, 'utf8')).trim();
}
