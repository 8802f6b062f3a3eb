import { readdir, stat } from 'node:fs/promises';
import path from 'node:path';
import { nearest } from '@forge/config';
import type { DownloadWatch } from '@forge/downloads';
import { ForgeError } from '@forge/errors';
import { HubRepository, NO_REPOSITORY, parseHubName } from '@forge/hub';
import { ADAPTER, adapterRefused, OPTIONAL, REQUIRED } from './model-files';

/** A folder with a model's files. */
export interface ModelFolder {
  dir: string;
  /** How to name it so that it means the same bytes for good: a directory as it was given, else `org/name@commit`. */
  model: string;
}

const SINGLE = 'model.safetensors';
const INDEX = 'model.safetensors.index.json';
const DESCRIPTIONS = [...REQUIRED, ...OPTIONAL, ADAPTER];

/**
 * The folder of a model that is named by a directory, or as `org/name` or `org/name@revision` on the Hugging Face hub: the
 * one in the hub's cache then, filled where files are missing. A directory that exists wins; where a name without revision
 * `mayBePath`, a hub that can't be reached is asked once. Only safetensors, JSON and the
 * tokenizer's files are downloaded.
 *
 * @throws {ForgeError} CONFIG_MODEL_MISSING for a name that is neither; CONFIG_MODEL_UNSUPPORTED for a repository without
 *   safetensors; CONFIG_TOKENIZER_INVALID for one without tokenizer.json; as `HubRepository`.
 */
export async function modelFolder(
  model: string,
  watch: DownloadWatch = {},
  { mayBePath = true }: { mayBePath?: boolean } = {},
): Promise<ModelFolder> {
  const name = (await isDirectory(model)) ? null : parseHubName(model);
  if (name === null) return { dir: model, model };
  const named = { ...name, isGuess: mayBePath && name.revision === null };
  const repository = await HubRepository.open('model', named, watch).catch(async (error: unknown) => {
    throw await withReadings(error, model);
  });
  const folder = { dir: repository.dir, model: repository.pinned };
  // One of both layouts of the weights is settled as absent.
  if (await repository.isSettled([...DESCRIPTIONS, SINGLE, INDEX])) {
    const weights = await weightFiles(repository, await presentOf(repository.dir, [SINGLE, INDEX]));
    if (await repository.isSettled(weights)) return folder;
  }
  const paths = await repository.paths();
  if (!repository.isOffline) refuseUnusable(model, paths);
  const weights = await weightFiles(repository, paths);
  const wanted = [...REQUIRED, ...[...OPTIONAL, ADAPTER].filter((file) => paths.includes(file)), ...weights];
  const absent = [...DESCRIPTIONS, SINGLE, INDEX].filter((file) => !wanted.includes(file));
  await repository.download(wanted, absent);
  return folder;
}

/** The files with the weights, of those of a repository: as the loader looks for them. */
async function weightFiles(repository: HubRepository, paths: readonly string[]): Promise<string[]> {
  if (paths.includes(SINGLE) || !paths.includes(INDEX)) return [SINGLE];
  let shards: unknown[] = [];
  try {
    const { weight_map: map } = JSON.parse(await repository.text(INDEX)) as { weight_map?: object };
    shards = Object.values(map ?? {});
  } catch (error) {
    // Let the loader say what is wrong with an index.
    if (!(error instanceof SyntaxError)) throw error;
  }
  const names = shards.filter((shard): shard is string => typeof shard === 'string' && isShard(shard));
  return [INDEX, ...new Set(names)];
}

function isShard(name: string): boolean {
  return path.basename(name) === name && name.endsWith('.safetensors');
}

function refuseUnusable(model: string, paths: readonly string[]): void {
  if (paths.includes(ADAPTER)) throw adapterRefused(`${model}: ${ADAPTER}`);
  if (!paths.some((file) => file === SINGLE || file === INDEX)) {
    const others = paths.filter((file) => /\.(bin|pt|pth|ckpt|h5|msgpack|gguf|onnx|safetensors)$/.test(file));
    const found = others.slice(0, 3).join(', ') || 'no weights';
    const message = `${model}: found ${found}, expected ${SINGLE}; pickle (.bin, .pt) is code that runs when it is read, and is never fetched: choose a revision with safetensors (org/name@refs/pr/N), or save it as such with transformers (save_pretrained) and name that directory`;
    throw new ForgeError('CONFIG_MODEL_UNSUPPORTED', message, { found: others, expected: SINGLE });
  }
  if (!paths.includes('tokenizer.json')) {
    const found = paths.filter((file) => /^(tokenizer|vocab|merges|spiece)/.test(file)).join(', ') || 'none';
    const message = `${model}: found ${found}, expected tokenizer.json; make it with transformers (AutoTokenizer.from_pretrained(NAME).save_pretrained(DIR)), and name a directory that has it and the weights`;
    throw new ForgeError('CONFIG_TOKENIZER_INVALID', message, { file: 'tokenizer.json', found });
  }
}

/** The error of a text that could be meant as a directory as well. */
async function withReadings(error: unknown, model: string): Promise<unknown> {
  if (!(error instanceof ForgeError)) return error;
  if (error.details.reason !== NO_REPOSITORY && !error.is('TRANSIENT_HUB_UNREACHABLE')) return error;
  const siblings = await readdir(path.dirname(model)).catch((): string[] => []);
  const near = nearest(path.basename(model), siblings);
  const hint = near === null ? '' : ` (did you mean ${path.join(path.dirname(model), near)}?)`;
  const message = `there is no directory ${model}${hint}, and ${error.message}`;
  return new ForgeError(error.code, message, error.details, { cause: error });
}

async function presentOf(dir: string, files: readonly string[]): Promise<string[]> {
  const present = await readdir(dir).catch((): string[] => []);
  return files.filter((file) => present.includes(file));
}

async function isDirectory(file: string): Promise<boolean> {
  return (await stat(file).catch(() => null))?.isDirectory() === true;
}
