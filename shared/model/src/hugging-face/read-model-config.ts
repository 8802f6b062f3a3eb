import { readFile, stat } from 'node:fs/promises';
import path from 'node:path';
import type { DownloadWatch } from '@forge/downloads';
import { ForgeError } from '@forge/errors';
import { HubRepository, parseHubName } from '@forge/hub';
import { parseModelConfig, type Head, type ModelConfig } from '../transformer/model-config';
import { isAdapter, readAdapter } from './adapter-folder';
import { modelFolder } from './model-folder';
import { jsonOf, readModelFiles, type ModelFiles } from './model-files';
import { createTokenizer, type Tokenizer, type TokenizerOptions } from './tokenizer';

const FILE = 'config.json';

/**
 * The shape of a model that is named by a directory, or on the Hugging Face hub; nothing but its `config.json` is needed.
 *
 * @throws {ForgeError} CONFIG_MODEL_MISSING; as `parseModelConfig`; as `HubRepository`.
 */
export async function readModelConfig(
  model: string,
  watch: DownloadWatch = {},
  head?: Head,
): Promise<ModelConfig> {
  const isDirectory = (await stat(model).catch(() => null))?.isDirectory() === true;
  const name = isDirectory ? null : parseHubName(model);
  const file = path.join(model, FILE);
  const bytes =
    name === null
      ? await readFile(file).catch((cause: Error) => {
          throw new ForgeError('CONFIG_MODEL_MISSING', `${file}: ${cause.message}`, { file }, { cause });
        })
      : Buffer.from(await (await HubRepository.open('model', name, watch)).text(FILE));
  return parseModelConfig(jsonOf(new Map([[FILE, bytes]]), FILE, model), file, head);
}

/** Everything of a model but its weights. */
export interface ModelDescription {
  readonly config: ModelConfig;
  readonly tokenizer: Tokenizer;
  readonly files: ModelFiles;
}

/**
 * What `loadModel` gives of the model, without its weights.
 *
 * @throws {ForgeError} as `loadModel`.
 */
export async function describeModel(model: string, date: string | undefined): Promise<ModelDescription> {
  const named = await modelFolder(model);
  const isPart = await isAdapter(named.dir);
  const { dir } = isPart ? await modelFolder((await readAdapter(named.dir)).base) : named;
  const files = await readModelFiles(dir);
  const config = parseModelConfig(jsonOf(files, FILE, dir), path.join(dir, FILE));
  const { vocabSize, maxPositions } = config;
  const tokenizer = createTokenizer(files, dir, { embeddingRows: vocabSize, maxPositions, date });
  return { config, tokenizer, files };
}

/** The tokenizer of `describeModel`. */
export async function loadModelTokenizer(model: string, date: string | undefined): Promise<Tokenizer> {
  return (await describeModel(model, date)).tokenizer;
}

/**
 * The tokenizer of a model folder; its weights need not be there.
 *
 * @throws {ForgeError} CONFIG_MODEL_MISSING; as `createTokenizer`.
 */
export async function loadTokenizer(dir: string, options: TokenizerOptions): Promise<Tokenizer> {
  return createTokenizer(await readModelFiles(dir), dir, options);
}
