import { createHash } from 'node:crypto';
import { open } from 'node:fs/promises';
import type { WeightsAnnouncement } from '@forge/contracts';
import { ForgeError } from '@forge/errors';
import type { Parameters } from './parameters';
import { readHeader, readTensor } from './safetensors';
import { corrupt, readable } from './safetensors-header';

/**
 * The announced parameters as float32, verified: each read once, into the memory it stays in.
 *
 * @throws {ForgeError} STALE_WEIGHTS when the blob was collected (a newer version exists);
 * CONTRACT_WEIGHTS_CORRUPT when its size or checksum differs from the announcement.
 */
export async function readVersion({
  path: file,
  sizeBytes,
  sha256,
  version,
}: WeightsAnnouncement): Promise<Parameters> {
  const handle = await open(file, 'r').catch((cause: unknown) => {
    throw new ForgeError(
      'STALE_WEIGHTS',
      `${file}: version ${version} is gone; read the newest announcement instead`,
      { file, version },
      { cause },
    );
  });
  try {
    const { size } = await handle.stat();
    if (size !== sizeBytes) throw corrupt(file, `found ${size} bytes, announced ${sizeBytes}`);
    const hash = createHash('sha256');
    const onBytes = (bytes: Uint8Array): void => void hash.update(bytes);
    const parameters: Parameters = new Map();
    // The header allows no gaps, so header and tensors are every byte of the file.
    for (const entry of (await readHeader(handle, file, onBytes)).tensors)
      parameters.set(entry.name, await readTensor(handle, readable(entry, file), file, onBytes));
    const found = hash.digest('hex');
    if (found !== sha256) throw corrupt(file, `found sha256 ${found}, announced ${sha256}`);
    return parameters;
  } finally {
    await handle.close();
  }
}
