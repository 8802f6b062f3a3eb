import { randomUUID } from 'node:crypto';
import { mkdir, rm, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { replaceDirectory } from '@forge/files';
import {
  readModelWeights,
  writeSafetensors,
  type Parameters,
  type SafetensorsDtype,
  type Tensors,
} from '@forge/weights';
import { mergeAdapter } from '../adapter/merge-adapter';
import { isAdapter, readAdapter } from './adapter-folder';
import { initializeParameters } from './initialize';
import { parseModelConfig, type Head, type ModelConfig } from '../transformer/model-config';
import { modelFolder } from './model-folder';
import { jsonOf, readModelFiles, type ModelFiles } from './model-files';
import { matchParameters, tensorRoles } from '../transformer/parameter-shapes';
import { createTokenizer, type Tokenizer } from './tokenizer';

/** A model of a Hugging Face folder. */
export interface LoadedModel {
  /** The folder it was loaded from; empty for a model that was created. */
  readonly dir: string;
  readonly config: ModelConfig;
  readonly parameters: Parameters;
  readonly tokenizer: Tokenizer;
  /** config.json, the tokenizer's files and what else a saved copy takes along. */
  readonly files: ModelFiles;
}

/**
 * The model in a folder, or of a name on the hub (`modelFolder`), checked as a whole: `config.json` describes something we
 * compute, the tokenizer fits it, and the weights are exactly the tensors it asks for. A folder with an adapter in PEFT's
 * layout is the model that it names, or `base`, with the adapter merged. `date` is the day told to chat
 * templates that ask for it (YYYY-MM-DD); `head` the one that the model must have, an LM head unless given.
 *
 * @throws {ForgeError} CONFIG_MODEL_MISSING, CONFIG_INVALID, CONFIG_MODEL_UNSUPPORTED, CONFIG_TOKENIZER_INVALID,
 * CONTRACT_WEIGHTS_CORRUPT or SHAPE_MISMATCH, naming file and field or tensor, what was found and expected.
 */
export async function loadModel(
  model: string,
  { date, base, head }: { date?: string | undefined; base?: string | undefined; head?: Head } = {},
): Promise<LoadedModel> {
  const { dir } = await modelFolder(model);
  if (head !== 'score' && (await isAdapter(dir))) {
    const { base: named, scale, parameters } = await readAdapter(dir);
    const whole = await loadWhole((await modelFolder(base ?? named)).dir, date);
    return { ...whole, parameters: mergeAdapter(whole.parameters, parameters, scale) };
  }
  return loadWhole(dir, date, head);
}

async function loadWhole(dir: string, date: string | undefined, head?: Head): Promise<LoadedModel> {
  const described = describe(await readModelFiles(dir), dir, { date, head });
  const stored = await readModelWeights(dir, tensorRoles(described.config));
  return { ...described, parameters: matchParameters(described.config, stored, dir) };
}

/**
 * A model with fresh parameters. `files` are those of its folder by name, JSON or text: `config.json` and
 * `tokenizer.json`, commonly `tokenizer_config.json` and `generation_config.json`.
 *
 * @throws {ForgeError} as `loadModel`.
 */
export function createModel(
  files: Readonly<Record<string, object | string>>,
  seed: number,
  { date, head }: { date?: string | undefined; head?: Head } = {},
): LoadedModel {
  const bytes = new Map(Object.entries(files).map(([name, content]) => [name, bytesOf(content)]));
  const described = describe(bytes, '', { date, head });
  return { ...described, parameters: initializeParameters(described.config, seed) };
}

/**
 * Writes `model` as a Hugging Face folder that appears complete or not at all, in place of an older one.
 * Loading it again gives the same bits for F32, rounded ones for F16 and BF16.
 *
 * @throws {ForgeError} SHAPE_MISMATCH when the parameters are not those of the config; NUMERIC_NON_FINITE when a
 * value is too large for `dtype`.
 */
export async function saveModel(
  dir: string,
  model: Pick<LoadedModel, 'config' | 'files'> & { parameters: Tensors },
  { dtype }: { dtype: SafetensorsDtype },
): Promise<void> {
  const parameters = matchParameters(model.config, model.parameters, 'the model to save');
  const target = path.resolve(dir);
  const temporary = `${target}.${randomUUID()}.tmp`;
  try {
    await mkdir(temporary, { recursive: true });
    for (const [name, bytes] of model.files) await writeFile(path.join(temporary, name), bytes);
    await writeFile(path.join(temporary, 'config.json'), configBytes(model.files, dtype));
    // transformers refuses a file that does not say which framework's layout its tensors have.
    const metadata = { format: 'pt' };
    await writeSafetensors(path.join(temporary, 'model.safetensors'), parameters, { dtype, metadata });
    await replaceDirectory(temporary, target);
  } finally {
    await rm(temporary, { recursive: true, force: true });
  }
}

function describe(
  files: ModelFiles,
  dir: string,
  { date, head }: { date: string | undefined; head: Head | undefined },
): Omit<LoadedModel, 'parameters'> {
  const config = parseModelConfig(jsonOf(files, 'config.json', dir), path.join(dir, 'config.json'), head);
  return {
    dir,
    files,
    config,
    tokenizer: createTokenizer(files, dir, {
      embeddingRows: config.vocabSize,
      maxPositions: config.maxPositions,
      date,
    }),
  };
}

const TORCH_DTYPES = { F32: 'float32', F16: 'float16', BF16: 'bfloat16' } as const;

function configBytes(files: ModelFiles, dtype: SafetensorsDtype): Uint8Array {
  const config = jsonOf(files, 'config.json', '') ?? {};
  // transformers 5 renamed `torch_dtype`.
  return bytesOfJson({ ...config, ['dtype' in config ? 'dtype' : 'torch_dtype']: TORCH_DTYPES[dtype] });
}

function bytesOf(content: object | string): Uint8Array {
  return typeof content === 'string' ? Buffer.from(content) : bytesOfJson(content);
}

function bytesOfJson(json: object): Uint8Array {
  return Buffer.from(`${JSON.stringify(json, null, 2)}\n`);
}
