import { createHash } from 'node:crypto';
import { open } from 'node:fs/promises';
import { PIECE_BYTES } from './parameters';
import { readFully, readHeader, type BlobContent } from './safetensors';
import { readable } from './safetensors-header';

/**
 * Reads a weights file from its first byte to its last.
 *
 * @throws {ForgeError} CONTRACT_WEIGHTS_CORRUPT when it is truncated or its header is damaged; what `open` throws.
 */
export async function inspectBlob(path: string): Promise<BlobContent> {
  const file = await open(path, 'r');
  try {
    const { sizeBytes, tensors } = await readHeader(file, path);
    const hash = createHash('sha256');
    const piece = new Uint8Array(Math.min(PIECE_BYTES, sizeBytes));
    for (let done = 0; done < sizeBytes; done += piece.length) {
      const part = piece.subarray(0, Math.min(piece.length, sizeBytes - done));
      await readFully(file, part, done, path);
      hash.update(part);
    }
    return {
      sha256: hash.digest('hex'),
      sizeBytes,
      tensors: tensors.map((entry) => readable(entry, path)),
    };
  } finally {
    await file.close();
  }
}
