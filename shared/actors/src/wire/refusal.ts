import { unwritableIn } from '@forge/contracts';
import { ForgeError } from '@forge/errors';
import { fieldName, type Frame } from './frame';
import { MAX_DEPTH } from './frame-bounds';

/** Why a frame can't travel, with the path to the first value that is to blame; null when all of it can. */
export function refusalIn(frame: Frame): ForgeError | null {
  const [kind, , ...fields] = frame;
  for (const [i, field] of fields.entries()) {
    const found = unwritableIn(field, fieldName(kind, i + 2), MAX_DEPTH - 1);
    if (found === null) continue;
    const { path, reason } = found;
    const message = `${path} is ${reason}, which can't be sent; send plain data`;
    return new ForgeError('CONTRACT_UNSERIALIZABLE', message, { path, reason });
  }
  return null;
}
