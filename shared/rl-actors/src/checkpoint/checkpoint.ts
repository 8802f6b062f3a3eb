import { randomUUID } from 'node:crypto';
import { mkdir, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { check, storedBoundSchema } from '@forge/contracts';
import { ForgeError } from '@forge/errors';
import { flush, replaceDirectory } from '@forge/files';
import {
  isAdapter,
  loadModel,
  modelFingerprint,
  readAdapter,
  type ModelConfig,
  type OptimizerState,
} from '@forge/model';
import type { Parameters } from '@forge/weights';
import { z } from 'zod';
import { readMoments, writeMoments } from './moments';
import { checkSeal, damaged, sealOf, sealSchema } from './seal';

const count = z.int().min(0);

/** Position of a run at a checkpoint, from which its state can be made anew. */
export const runPositionSchema = z.strictObject({
  id: z.string().min(1),
  seed: count,
  /** The next of the run's prompts, in their order. */
  nextIndex: count,
  /** Groups trained so far. */
  trained: count,
  /** Metrics of the step that made the checkpoint; none at step 0. */
  metrics: z.record(z.string(), z.number()),
});

/** `checkpoint.json`: what a checkpoint is of, and what its files must be. */
const checkpointSchema = z.strictObject({
  schemaVersion: z.literal(1),
  /** Optimizer steps applied, which is the version of the policy. */
  step: count,
  /** The trainer that wrote it. */
  epoch: count,
  maxStaleness: storedBoundSchema,
  /** `modelFingerprint` of the architecture. */
  model: z.string().length(64),
  /** `parametersHash` of the model that it is an adapter of; left out of a checkpoint that is a whole model. */
  base: z.string().length(64).optional(),
  /** Null for a trainer that belongs to no run. */
  run: runPositionSchema.nullable(),
  files: z.record(z.string(), sealSchema),
});

export type RunPosition = z.infer<typeof runPositionSchema>;
export type Checkpoint = z.infer<typeof checkpointSchema>;

const DESCRIPTION = 'checkpoint.json';
const MOMENTS = 'optimizer.safetensors';

/**
 * Writes a checkpoint that is there whole or not at all, also after a power failure: what `save` writes, which is the model
 * in Hugging Face layout or its adapter in PEFT's, both moments, and what they are.
 */
export async function writeCheckpoint(
  dir: string,
  about: Omit<Checkpoint, 'schemaVersion' | 'step' | 'model' | 'files'>,
  { config, save }: { config: ModelConfig; save: (dir: string) => Promise<void> },
  state: OptimizerState,
): Promise<void> {
  const temporary = `${dir}.${randomUUID()}.tmp`;
  try {
    await mkdir(dirname(dir), { recursive: true });
    await save(temporary);
    await writeMoments(join(temporary, MOMENTS), { state, parameters: null });
    const files: Checkpoint['files'] = {};
    for (const name of (await readdir(temporary)).sort()) {
      await flush(join(temporary, name));
      files[name] = await sealOf(join(temporary, name));
    }
    const { step } = state;
    const checkpoint: Checkpoint = {
      schemaVersion: 1,
      step,
      ...about,
      model: modelFingerprint(config),
      files,
    };
    await writeFile(join(temporary, DESCRIPTION), `${JSON.stringify(checkpoint, null, 2)}\n`);
    await flush(join(temporary, DESCRIPTION));
    await flush(temporary);
    await replaceDirectory(temporary, dir);
  } finally {
    await rm(temporary, { recursive: true, force: true });
  }
}

/**
 * The checkpoint in `dir`, every file compared with its seal.
 *
 * @throws {ForgeError} CONTRACT_WEIGHTS_CORRUPT naming the file that is missing, cut or changed, and how.
 */
export async function readCheckpoint(dir: string): Promise<Checkpoint> {
  const file = join(dir, DESCRIPTION);
  const text = await readFile(file, 'utf8').catch((error: NodeJS.ErrnoException) => {
    throw damaged(file, error.code === 'ENOENT' ? 'it is missing, so this is no checkpoint' : error.message);
  });
  let checkpoint: Checkpoint;
  try {
    checkpoint = check(checkpointSchema, JSON.parse(text), DESCRIPTION);
  } catch (error) {
    throw damaged(
      file,
      error instanceof SyntaxError ? `not JSON: ${error.message}` : (error as Error).message,
    );
  }
  for (const [name, seal] of Object.entries(checkpoint.files)) await checkSeal(join(dir, name), seal);
  return checkpoint;
}

/**
 * Parameters and moments of a checkpoint, to the bit as they were: those of the adapter where there is a `base`, named by its
 * hash.
 *
 * @throws {ForgeError} as `readCheckpoint`; CONFLICT_STATE when it is of another model than `config`, or of an adapter to
 *   another base.
 */
export async function loadCheckpoint(
  dir: string,
  { config, base }: { config: ModelConfig; base?: string | undefined },
): Promise<{ parameters: Parameters; state: OptimizerState<Parameters> }> {
  const { step, model, base: found } = await readCheckpoint(dir);
  checkModel(dir, model, config);
  if (found !== base) {
    const what = found === undefined ? 'a whole model' : `an adapter to the weights ${found.slice(0, 12)}`;
    const expected = base === undefined ? 'a whole model' : `an adapter to ${base.slice(0, 12)}`;
    const message = `${dir}: a checkpoint of ${what}, expected ${expected}, which the run trains`;
    throw new ForgeError('CONFLICT_STATE', message, { dir, found: found ?? null, expected: base ?? null });
  }
  const { parameters } = (await isAdapter(dir)) ? await readAdapter(dir) : await loadModel(dir);
  const { state } = await readMoments(join(dir, MOMENTS), step);
  return { parameters, state };
}

/** @throws {ForgeError} CONFLICT_STATE when a checkpoint with fingerprint `model` is not of `config`. */
export function checkModel(dir: string, model: string, config: ModelConfig): void {
  const expected = modelFingerprint(config);
  if (model === expected) return;
  throw new ForgeError(
    'CONFLICT_STATE',
    `${dir}: a checkpoint of another model: its architecture has the fingerprint ${model.slice(0, 12)}, that of the run ${expected.slice(0, 12)}`,
    { dir, found: model, expected },
  );
}
