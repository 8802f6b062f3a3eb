import { ForgeError } from '@forge/errors';
import { elementCount } from './parameters';

/** Bytes per value of the dtypes we read and write. */
export const DTYPE_BYTES = { F32: 4, F16: 2, BF16: 2 } as const;
export type SafetensorsDtype = keyof typeof DTYPE_BYTES;

/** The place of one tensor in a safetensors file; one that is not read may have any dtype. */
export interface TensorEntry<Dtype extends string = SafetensorsDtype> {
  readonly name: string;
  readonly dtype: Dtype;
  readonly shape: readonly number[];
  /** First byte, counted from the start of the file. */
  readonly offset: number;
  readonly sizeBytes: number;
}

/** Bytes before the JSON header: its length as a little-endian u64. */
export const PREFIX_BYTES = 8;
const MAX_HEADER_BYTES = 100_000_000;

/**
 * Length of the JSON header that `prefix`, the first 8 bytes of a file of `fileBytes`, announces.
 *
 * @throws {ForgeError} CONTRACT_WEIGHTS_CORRUPT when the file cannot hold a header of that length.
 */
export function headerLength(prefix: Uint8Array, fileBytes: number, file: string): number {
  if (fileBytes < PREFIX_BYTES) {
    throw corrupt(file, `truncated: found ${fileBytes} bytes, expected at least ${PREFIX_BYTES}`);
  }
  const length = new DataView(prefix.buffer, prefix.byteOffset).getBigUint64(0, true);
  const limit = Math.min(MAX_HEADER_BYTES, fileBytes - PREFIX_BYTES);
  if (length < 2n || length > BigInt(limit)) {
    throw corrupt(
      file,
      `bad header length: found ${length}, expected 2 to ${limit} in a file of ${fileBytes} bytes`,
    );
  }
  return Number(length);
}

/**
 * The tensors of a safetensors file in file order. They are checked to cover the data section without gap or
 * overlap, each of a dtype we read with as many bytes as its dtype and shape say.
 *
 * @throws {ForgeError} CONTRACT_WEIGHTS_CORRUPT naming file and tensor.
 * @see https://github.com/huggingface/safetensors#format
 */
export function parseHeader(json: Uint8Array, fileBytes: number, file: string): TensorEntry<string>[] {
  const start = PREFIX_BYTES + json.length;
  const entries = Object.entries(parseJson(json, file))
    .filter(([name]) => name !== '__metadata__')
    .map(([name, description]) => parseEntry(name, description, start, file))
    .sort((a, b) => a.offset - b.offset || a.sizeBytes - b.sizeBytes);
  let end = start;
  let previous = 'the header';
  for (const entry of entries) {
    const found = `it begins at byte ${entry.offset}, expected ${end}, where ${previous} ends`;
    if (entry.offset < end)
      throw corrupt(file, `tensor "${entry.name}" overlaps ${previous}: ${found}`, entry.name);
    if (entry.offset > end) throw corrupt(file, `gap before tensor "${entry.name}": ${found}`, entry.name);
    end += entry.sizeBytes;
    previous = `"${entry.name}"`;
    if (end > fileBytes) {
      throw corrupt(
        file,
        `truncated: tensor "${entry.name}" ends at byte ${end}, found ${fileBytes} bytes`,
        entry.name,
      );
    }
  }
  if (end < fileBytes)
    throw corrupt(file, `found ${fileBytes} bytes, expected ${end}, where ${previous} ends`);
  return entries;
}

function parseJson(json: Uint8Array, file: string): Record<string, unknown> {
  let header: unknown;
  try {
    header = JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(json));
  } catch (cause) {
    throw corrupt(file, `the header is not JSON: ${(cause as Error).message}`);
  }
  if (!isRecord(header)) throw corrupt(file, 'the header is not a JSON object of tensors');
  return header;
}

function parseEntry(name: string, description: unknown, start: number, file: string): TensorEntry<string> {
  const fail = (problem: string): ForgeError => corrupt(file, `tensor "${name}": ${problem}`, name);
  if (!isRecord(description)) throw fail('its description is not an object');
  const { dtype, shape, data_offsets: offsets } = description;
  if (typeof dtype !== 'string') throw fail(`bad dtype: found ${JSON.stringify(dtype)}, expected text`);
  if (!isCountArray(shape))
    throw fail(`bad shape: found ${JSON.stringify(shape)}, expected whole numbers >= 0`);
  if (!isCountArray(offsets) || offsets.length !== 2 || offsets[0]! > offsets[1]!) {
    throw fail(`bad data_offsets: found ${JSON.stringify(offsets)}, expected [begin, end] with begin <= end`);
  }
  const sizeBytes = offsets[1]! - offsets[0]!;
  const expected = isRead(dtype) ? elementCount(shape) * DTYPE_BYTES[dtype] : sizeBytes;
  if (sizeBytes !== expected) {
    throw fail(`found ${sizeBytes} bytes, expected ${expected} for ${dtype} of shape [${shape.join(', ')}]`);
  }
  return { name, dtype, shape, offset: start + offsets[0]!, sizeBytes };
}

/**
 * `entry` as one whose values we read.
 *
 * @throws {ForgeError} CONFIG_MODEL_UNSUPPORTED when it has another dtype, as quantized models have.
 */
export function readable({ dtype, ...entry }: TensorEntry<string>, file: string): TensorEntry {
  if (isRead(dtype)) return { ...entry, dtype };
  const expected = Object.keys(DTYPE_BYTES);
  throw new ForgeError(
    'CONFIG_MODEL_UNSUPPORTED',
    `${file}: tensor "${entry.name}": dtype: found ${JSON.stringify(dtype)}, expected ${expected.join(', ')}`,
    { file, tensor: entry.name, found: dtype, expected },
  );
}

function isRead(dtype: string): dtype is SafetensorsDtype {
  return Object.hasOwn(DTYPE_BYTES, dtype);
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function isCountArray(value: unknown): value is number[] {
  return Array.isArray(value) && value.every((v) => Number.isSafeInteger(v) && v >= 0);
}

/** The error of every damaged weights file. */
export function corrupt(file: string, problem: string, tensor?: string): ForgeError {
  return new ForgeError(
    'CONTRACT_WEIGHTS_CORRUPT',
    `${file}: ${problem}`,
    tensor === undefined ? { file } : { file, tensor },
  );
}
