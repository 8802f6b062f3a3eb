import { createHash } from 'node:crypto';
import { batchSchema, decode, encode, schemaVersion } from '@forge/contracts';
import { ForgeError } from '@forge/errors';
import { z } from 'zod';
import { trainerConfigSchema } from '../trainer/trainer-config';

const bytes = z.custom<Uint8Array>((value) => value instanceof Uint8Array, 'expected bytes');
const hash = z.string().regex(/^[0-9a-f]{64}$/);

/** Start of the training: `base.msgpack`. */
export const recordedBaseSchema = z.strictObject({
  runId: z.string().min(1),
  /** Settings of the Trainer actor that decide about the weights. */
  trainer: trainerConfigSchema.pick({
    model: true,
    algorithm: true,
    adapter: true,
    optimizer: true,
    temperature: true,
    steps: true,
    publishDtype: true,
  }),
  /** sha256 of version 0, as it is announced. */
  weightsHash: hash,
});

/** One optimizer step; its file names the version that it makes, as in `metrics.jsonl`. */
export const recordedStepSchema = z.strictObject({
  runId: z.string().min(1),
  batch: batchSchema,
  /** The encoded groups in the order of the batch, the bytes that were trained. */
  payloads: z.array(bytes),
  /** The version the step went back to instead of training. */
  rolledBackTo: z.int().min(0).nullable(),
  /** sha256 of the version the step made, as it is announced. */
  weightsHash: hash,
});

/** The whole file: the encoded content under its checksum. */
const fileSchema = z.strictObject({
  schemaVersion: schemaVersion(2),
  sha256: hash,
  content: bytes,
});

export type RecordedBase = z.output<typeof recordedBaseSchema>;
export type RecordedStep = z.output<typeof recordedStepSchema>;

export const BASE_FILE = 'base.msgpack';
const STEP_FILE = /^step-([1-9]\d*)\.(\d+)\.msgpack$/;

/**
 * Content of the name of a step's file: the version that the step makes, and which trainer wrote it. Among several for
 * one version that of the highest epoch counts: an earlier trainer could not commit any more.
 */
export interface StepFile {
  version: number;
  epoch: number;
}

export function stepFile({ version, epoch }: StepFile): string {
  return `step-${version}.${epoch}.msgpack`;
}

/** Null for any other file. */
export function parseStepFile(name: string): StepFile | null {
  const [, version, epoch] = STEP_FILE.exec(name) ?? [];
  return version === undefined ? null : { version: Number(version), epoch: Number(epoch) };
}

/** The bytes of a file of the record; equal contents give equal bytes. */
export function seal(content: RecordedBase | RecordedStep): Buffer {
  const encoded = encode(content);
  return encode({ schemaVersion: 2, sha256: sha256(encoded), content: encoded });
}

/**
 * The content of a file of the record.
 *
 * @throws {ForgeError} CONFIG_FILE_UNREADABLE when it is truncated, damaged or of another schema.
 */
export function unseal<S extends z.ZodType>(schema: S, file: Uint8Array, path: string): z.output<S> {
  try {
    const { sha256: expected, content } = decode(fileSchema, file, path, Infinity);
    const found = sha256(content);
    if (found === expected) return decode(schema, content, path, Infinity);
    throw new ForgeError('CONTRACT_INVALID_MESSAGE', `${path}: its sha256 is ${found}, expected ${expected}`);
  } catch (cause) {
    if (!(cause instanceof ForgeError)) throw cause;
    const message = `${cause.message}; the file is damaged, or another version of Forge wrote it`;
    throw new ForgeError('CONFIG_FILE_UNREADABLE', message, { path }, { cause });
  }
}

function sha256(content: Uint8Array): string {
  return createHash('sha256').update(content).digest('hex');
}
