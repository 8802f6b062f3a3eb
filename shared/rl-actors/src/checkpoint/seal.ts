import { createHash } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { stat } from 'node:fs/promises';
import { ForgeError } from '@forge/errors';
import { z } from 'zod';

/** Identity that a file must have, to the bit. */
export const sealSchema = z.strictObject({ sizeBytes: z.int().min(0), sha256: z.string().length(64) });
export type Seal = z.infer<typeof sealSchema>;

/** The seal of a file as it lies on the disk. */
export async function sealOf(file: string): Promise<Seal> {
  const hash = createHash('sha256');
  let sizeBytes = 0;
  for await (const piece of createReadStream(file, { highWaterMark: 1 << 20 })) {
    hash.update(piece as Buffer);
    sizeBytes += (piece as Buffer).length;
  }
  return { sizeBytes, sha256: hash.digest('hex') };
}

/** @throws {ForgeError} CONTRACT_WEIGHTS_CORRUPT saying how the file differs from its seal. */
export async function checkSeal(file: string, seal: Seal): Promise<void> {
  const found = await stat(file).catch(() => null);
  if (found === null) throw damaged(file, 'it is missing');
  if (found.size !== seal.sizeBytes)
    throw damaged(file, `found ${found.size} bytes, expected ${seal.sizeBytes}`);
  const { sha256 } = await sealOf(file);
  if (sha256 !== seal.sha256) throw damaged(file, `found sha256 ${sha256}, expected ${seal.sha256}`);
}

export function damaged(file: string, problem: string): ForgeError {
  return new ForgeError('CONTRACT_WEIGHTS_CORRUPT', `${file}: ${problem}`, { file });
}
