import { readFile, stat } from 'node:fs/promises';
import path from 'node:path';
import { ForgeError } from '@forge/errors';

/** Everything of a Hugging Face model folder but its weights: contents by file name. */
export type ModelFiles = ReadonlyMap<string, Uint8Array>;

export const REQUIRED = ['config.json', 'tokenizer.json'];
export const OPTIONAL = [
  'generation_config.json',
  'tokenizer_config.json',
  'chat_template.jinja',
  'special_tokens_map.json',
  'added_tokens.json',
  'vocab.json',
  'merges.txt',
  'tokenizer.model',
];
export const ADAPTER = 'adapter_config.json';

/**
 * The files of `dir` that we use or hand on to a saved model.
 *
 * @throws {ForgeError} CONFIG_MODEL_MISSING naming the directory or file that is not there; CONFIG_MODEL_UNSUPPORTED for an
 * adapter.
 */
export async function readModelFiles(dir: string): Promise<ModelFiles> {
  const found = await stat(dir).catch(() => undefined);
  if (!found?.isDirectory()) {
    const what = found ? 'a file' : 'nothing';
    const expected = `a model folder with ${REQUIRED.join(', ')} and model.safetensors, or the name of a model of the hub, as org/name`;
    throw new ForgeError('CONFIG_MODEL_MISSING', `${dir}: found ${what}, expected ${expected}`, { dir });
  }
  await refuseAdapter(dir);
  const files = new Map<string, Uint8Array>();
  for (const name of [...REQUIRED, ...OPTIONAL]) {
    const file = path.join(dir, name);
    try {
      files.set(name, await readFile(file));
    } catch (cause) {
      if ((cause as NodeJS.ErrnoException).code === 'ENOENT' && OPTIONAL.includes(name)) continue;
      throw new ForgeError(
        'CONFIG_MODEL_MISSING',
        `${file}: ${(cause as Error).message}`,
        { file },
        { cause },
      );
    }
  }
  return files;
}

/** Refuses a folder whose weights transformers would change by those of an adapter. */
async function refuseAdapter(dir: string): Promise<void> {
  const file = path.join(dir, ADAPTER);
  if ((await stat(file).catch(() => undefined)) === undefined) return;
  throw adapterRefused(file);
}

/** The error of a model that is an adapter, by its file. */
export function adapterRefused(file: string): ForgeError {
  return new ForgeError(
    'CONFIG_MODEL_UNSUPPORTED',
    `${file}: found an adapter, expected whole weights; merge it into its model (merge_and_unload of PEFT) and save that`,
    { file },
  );
}

/**
 * The text in file `name`, or undefined when there is no such file.
 *
 * @throws {ForgeError} CONFIG_INVALID naming the file and the first byte that is not UTF-8.
 */
export function textOf(files: ModelFiles, name: string, dir: string): string | undefined {
  const bytes = files.get(name);
  if (bytes === undefined) return undefined;
  try {
    return new TextDecoder('utf-8', { fatal: true }).decode(bytes);
  } catch (cause) {
    const file = path.join(dir, name);
    const at = invalidByte(bytes);
    const message = `${file}: found byte 0x${bytes[at]!.toString(16)} at offset ${at}, expected UTF-8; save the file as UTF-8`;
    throw new ForgeError('CONFIG_INVALID', message, { file }, { cause });
  }
}

/** The offset of the first byte that is invalid in UTF-8. */
function invalidByte(bytes: Uint8Array): number {
  const valid = new TextDecoder('utf-8', { ignoreBOM: true }).decode(bytes);
  for (let at = valid.indexOf('\ufffd'); at >= 0; at = valid.indexOf('\ufffd', at + 1)) {
    const offset = Buffer.byteLength(valid.slice(0, at));
    if (!Buffer.from(bytes.subarray(offset, offset + 3)).equals(Buffer.from('\ufffd'))) return offset;
  }
  return bytes.length - 1;
}

/**
 * The JSON object in file `name`, or undefined when there is no such file.
 *
 * @throws {ForgeError} CONFIG_INVALID when it is not a JSON object.
 */
export function jsonOf(files: ModelFiles, name: string, dir: string): Record<string, unknown> | undefined {
  const text = textOf(files, name, dir);
  if (text === undefined) return undefined;
  const file = path.join(dir, name);
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (cause) {
    throw new ForgeError(
      'CONFIG_INVALID',
      `${file}: not JSON: ${(cause as Error).message}`,
      { file },
      { cause },
    );
  }
  if (typeof value !== 'object' || value === null || Array.isArray(value)) {
    throw new ForgeError('CONFIG_INVALID', `${file}: expected a JSON object`, { file });
  }
  return value as Record<string, unknown>;
}
