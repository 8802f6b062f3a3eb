import { access, readFile } from 'node:fs/promises';
import path from 'node:path';
import { ForgeError } from '@forge/errors';
import type { Parameters } from './parameters';
import { readSafetensors } from './safetensors';
import { corrupt } from './safetensors-header';

const SINGLE = 'model.safetensors';
const INDEX = 'model.safetensors.index.json';

/**
 * The role of a model folder's tensor: `needed` must be there, once and where an index says; `spare` may be there, as a
 * copy of tied embeddings may; `unread` is left alone, as the tables of old checkpoints are.
 */
export type TensorRole = 'needed' | 'spare' | 'unread';

/**
 * The tensors of a Hugging Face model folder: of `model.safetensors`, or of the shards that
 * `model.safetensors.index.json` lists.
 *
 * @throws {ForgeError} CONFIG_MODEL_MISSING when there are no weights; CONTRACT_WEIGHTS_CORRUPT when a file is
 * damaged or the index disagrees with its shards about a tensor that is needed; CONFIG_MODEL_UNSUPPORTED when a tensor
 * has a dtype we do not read.
 */
export async function readModelWeights(
  dir: string,
  roleOf: (name: string) => TensorRole = () => 'needed',
): Promise<Parameters> {
  const isRead = (name: string): boolean => roleOf(name) !== 'unread';
  if (await exists(path.join(dir, SINGLE))) return readSafetensors(path.join(dir, SINGLE), isRead);
  if (await exists(path.join(dir, INDEX))) return readShards(dir, roleOf);
  throw new ForgeError('CONFIG_MODEL_MISSING', `${dir}: found no weights, expected ${SINGLE} or ${INDEX}`, {
    dir,
  });
}

async function readShards(dir: string, roleOf: (name: string) => TensorRole): Promise<Parameters> {
  const index = path.join(dir, INDEX);
  const shardOf = parseIndex(await readFile(index, 'utf8'), index);
  const isRead = (name: string): boolean => roleOf(name) !== 'unread';
  const parameters: Parameters = new Map();
  for (const shard of new Set([...shardOf].filter(([name]) => isRead(name)).map(([, file]) => file))) {
    for (const [name, tensor] of await readSafetensors(path.join(dir, shard), isRead)) {
      if (shardOf.get(name) !== shard && roleOf(name) === 'needed') {
        const expected = shardOf.has(name) ? `in ${shardOf.get(name)}` : 'in no shard';
        throw corrupt(index, `tensor "${name}": found in ${shard}, expected ${expected}`, name);
      }
      parameters.set(name, tensor);
    }
  }
  for (const [name, shard] of shardOf) {
    if (roleOf(name) === 'needed' && !parameters.has(name))
      throw corrupt(index, `tensor "${name}": expected in ${shard}, not found there`, name);
  }
  return parameters;
}

function parseIndex(text: string, index: string): Map<string, string> {
  let parsed: unknown;
  try {
    parsed = JSON.parse(text);
  } catch (cause) {
    throw corrupt(index, `not JSON: ${(cause as Error).message}`);
  }
  const map = (parsed as { weight_map?: unknown } | null)?.weight_map;
  if (typeof map !== 'object' || map === null)
    throw corrupt(index, 'weight_map: expected an object of file names');
  const shardOf = new Map<string, string>();
  for (const [name, shard] of Object.entries(map)) {
    if (typeof shard !== 'string' || path.basename(shard) !== shard || !shard.endsWith('.safetensors')) {
      const found = JSON.stringify(shard);
      throw corrupt(
        index,
        `weight_map."${name}": found ${found}, expected a .safetensors file in this folder`,
        name,
      );
    }
    shardOf.set(name, shard);
  }
  return shardOf;
}

async function exists(file: string): Promise<boolean> {
  return access(file).then(
    () => true,
    () => false,
  );
}
