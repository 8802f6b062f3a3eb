import { randomUUID } from 'node:crypto';
import { mkdir, readFile, rm, stat, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { parseConfig } from '@forge/config';
import { ForgeError } from '@forge/errors';
import { replaceDirectory } from '@forge/files';
import {
  readSafetensors,
  writeSafetensors,
  type Parameters,
  type SafetensorsDtype,
  type Tensors,
} from '@forge/weights';
import { z } from 'zod';
import type { AdapterShape } from '../adapter/adapter-factors';
import { ADAPTER } from './model-files';

const CONFIG = 'config.json';
const WEIGHTS = 'adapter_model.safetensors';

/** An adapter in PEFT's layout. */
export interface StoredAdapter {
  /** The model it belongs to: a directory, or a name on the hub. */
  base: string;
  /** The factor that an update is multiplied by. */
  scale: number;
  /** By PEFT's names. */
  parameters: Parameters;
}

const nothing = z.unknown().refine(isNothing, { error: 'nothing' });
/** `adapter_config.json`: whatever would make PEFT compute something else than W + scale B A is refused. */
const schema = z.object({
  peft_type: z.literal('LORA'),
  base_model_name_or_path: z.string().min(1),
  r: z.int().min(1),
  lora_alpha: z.number().gt(0),
  use_rslora: z.boolean().nullish(),
  bias: z.literal('none').nullish(),
  init_lora_weights: z
    .union([z.boolean(), z.literal('gaussian'), z.null()], {
      error: 'true, false or "gaussian": other ways to begin change the model as well',
    })
    .optional(),
  use_dora: nothing.optional(),
  fan_in_fan_out: nothing.optional(),
  rank_pattern: nothing.optional(),
  alpha_pattern: nothing.optional(),
  modules_to_save: nothing.optional(),
  trainable_token_indices: nothing.optional(),
  layer_replication: nothing.optional(),
});

/** Whether a directory holds an adapter, and no whole model that it would change. */
export async function isAdapter(dir: string): Promise<boolean> {
  const has = async (name: string): Promise<boolean> =>
    (await stat(path.join(dir, name)).catch(() => undefined)) !== undefined;
  return (await has(ADAPTER)) && !(await has(CONFIG));
}

/**
 * The adapter in a directory.
 *
 * @throws {ForgeError} CONFIG_INVALID for a field of adapter_config.json that asks for something we do not compute;
 *   CONFIG_MODEL_MISSING, CONTRACT_WEIGHTS_CORRUPT as `readSafetensors`.
 */
export async function readAdapter(dir: string): Promise<StoredAdapter> {
  const file = path.join(dir, ADAPTER);
  let json: unknown;
  try {
    json = JSON.parse(await readFile(file, 'utf8'));
  } catch (cause) {
    const problem = cause instanceof SyntaxError ? `not JSON: ${cause.message}` : (cause as Error).message;
    throw new ForgeError('CONFIG_INVALID', `${file}: ${problem}`, { file }, { cause });
  }
  const { base_model_name_or_path: base, r, lora_alpha, use_rslora } = parseConfig(schema, json, file);
  const parameters = await readSafetensors(path.join(dir, WEIGHTS));
  return { base, scale: lora_alpha / (use_rslora ? Math.sqrt(r) : r), parameters };
}

/**
 * Writes an adapter of `base` as a folder that PEFT loads, and that appears complete or not at all, in place of an older
 * one.
 */
export async function saveAdapter(
  dir: string,
  { base, adapter, parameters }: { base: string; adapter: AdapterShape; parameters: Tensors },
  { dtype }: { dtype: SafetensorsDtype },
): Promise<void> {
  const target = path.resolve(dir);
  const temporary = `${target}.${randomUUID()}.tmp`;
  try {
    await mkdir(temporary, { recursive: true });
    await writeFile(path.join(temporary, ADAPTER), adapterConfig(base, adapter));
    const metadata = { format: 'pt' };
    await writeSafetensors(path.join(temporary, WEIGHTS), parameters, { dtype, metadata });
    await replaceDirectory(temporary, target);
  } finally {
    await rm(temporary, { recursive: true, force: true });
  }
}

/** The `adapter_config.json` of an adapter of `base`. */
export function adapterConfig(base: string, { rank, alpha, targets }: AdapterShape): string {
  const config = {
    ...{ peft_type: 'LORA', task_type: 'CAUSAL_LM', base_model_name_or_path: base, inference_mode: true },
    ...{ r: rank, lora_alpha: alpha, target_modules: targets, lora_dropout: 0 },
    ...{ bias: 'none', fan_in_fan_out: false, use_rslora: false, use_dora: false, modules_to_save: null },
  };
  return `${JSON.stringify(config, null, 2)}\n`;
}

function isNothing(value: unknown): boolean {
  if (value === undefined || value === null || value === false) return true;
  return typeof value === 'object' && Object.keys(value).length === 0;
}
