import { createHash } from 'node:crypto';
import { open, type FileHandle } from 'node:fs/promises';
import { ForgeError } from '@forge/errors';
import { replaceFile } from '@forge/files';
import { decodeBfloat16, decodeFloat16, encodeBfloat16, encodeFloat16 } from './half-precision';
import {
  bytesOf,
  elementCount,
  PIECE_BYTES,
  pieces,
  valuesOf,
  type NamedTensor,
  type Parameters,
  type Tensors,
} from './parameters';
import {
  corrupt,
  DTYPE_BYTES,
  headerLength,
  parseHeader,
  PREFIX_BYTES,
  readable,
  type SafetensorsDtype,
  type TensorEntry,
} from './safetensors-header';

/** One `read` of Node moves less than 2 GiB. */
const MAX_TRANSFER_BYTES = 1 << 30;

/** The content of a weights file. */
export interface BlobContent {
  sha256: string;
  sizeBytes: number;
  tensors: TensorEntry[];
}

type OnBytes = (bytes: Uint8Array) => void;

/** The size and the header of a safetensors file. */
export async function readHeader(
  file: FileHandle,
  path: string,
  onBytes?: OnBytes,
): Promise<{ sizeBytes: number; tensors: TensorEntry<string>[] }> {
  const { size } = await file.stat();
  const prefix = new Uint8Array(PREFIX_BYTES);
  await readFully(file, prefix.subarray(0, Math.min(size, PREFIX_BYTES)), 0, path, onBytes);
  const json = new Uint8Array(headerLength(prefix, size, path));
  await readFully(file, json, PREFIX_BYTES, path, onBytes);
  return { sizeBytes: size, tensors: parseHeader(json, size, path) };
}

/**
 * The tensors of a safetensors file whose names are `wanted`, as float32, in file order, each with a buffer of its
 * own.
 *
 * @throws {ForgeError} CONFIG_MODEL_MISSING when the file cannot be opened; CONTRACT_WEIGHTS_CORRUPT when it is
 * truncated or damaged, CONFIG_MODEL_UNSUPPORTED when a wanted tensor has a dtype we do not read; both name file and
 * tensor.
 */
export async function readSafetensors(
  path: string,
  wanted: (name: string) => boolean = () => true,
): Promise<Parameters> {
  const file = await openModelFile(path);
  try {
    const parameters: Parameters = new Map();
    for (const stored of (await readHeader(file, path)).tensors) {
      if (!wanted(stored.name)) continue;
      parameters.set(stored.name, await readTensor(file, readable(stored, path), path));
    }
    return parameters;
  } finally {
    await file.close();
  }
}

/**
 * A tensor of an open safetensors file as float32, read into the memory it stays in. `onBytes` sees its bytes as they lie
 * in the file, in order.
 */
export async function readTensor(
  file: FileHandle,
  { shape, dtype, offset, sizeBytes }: TensorEntry,
  path: string,
  onBytes?: OnBytes,
): Promise<NamedTensor> {
  const data = new Float32Array(elementCount(shape));
  // Half precision fills the second half, and is widened in place.
  const bytes = bytesOf(data).subarray(data.byteLength - sizeBytes);
  await readFully(file, bytes, offset, path, onBytes);
  if (dtype !== 'F32') {
    const halves = new Uint16Array(bytes.buffer, bytes.byteOffset, data.length);
    (dtype === 'F16' ? decodeFloat16 : decodeBfloat16)(halves, data);
  }
  return { shape, data };
}

/**
 * Writes `tensors` in name order, so equal ones give equal bytes, and says what it wrote; one is read at a time. The file appears
 * complete or not at all.
 *
 * @throws {ForgeError} NUMERIC_NON_FINITE when a finite value is too large for `dtype`, naming the tensor.
 */
export async function writeSafetensors(
  path: string,
  tensors: Tensors,
  options: SafetensorsFormat,
): Promise<BlobContent> {
  const header = renderHeader(tensors, options);
  const encoded = encoderOf(options.dtype);
  const hash = createHash('sha256');
  let sizeBytes = 0;
  // A version is checked by its hash when it is read, so that a step need not wait for the disk.
  await replaceFile(
    path,
    async (file) => {
      const write = async (piece: Uint8Array): Promise<void> => {
        const written = writeFully(file, piece);
        hash.update(piece);
        await written;
        sizeBytes += piece.length;
      };
      await write(header);
      for (const name of sortedNames(tensors))
        for (const piece of encoded(name, await valuesOf(tensors.get(name)!))) await write(piece);
    },
    { flush: false },
  );
  const entries = parseHeader(header.subarray(PREFIX_BYTES), sizeBytes, path);
  const written = entries.map((entry) => readable(entry, path));
  return { sha256: hash.digest('hex'), sizeBytes, tensors: written };
}

/** Format of a weights file besides its tensors. */
export interface SafetensorsFormat {
  dtype: SafetensorsDtype;
  /** Texts of the header, for other readers; part of the file, and of its hash. */
  metadata?: Readonly<Record<string, string>> | undefined;
}

/** sha256 of the file that `writeSafetensors` would write: the name of a run's version with these parameters. */
export function hashSafetensors(
  parameters: Parameters,
  format: SafetensorsFormat = { dtype: 'F32' },
): string {
  const encoded = encoderOf(format.dtype);
  const hash = createHash('sha256').update(renderHeader(parameters, format));
  for (const name of sortedNames(parameters))
    for (const piece of encoded(name, parameters.get(name)!.data)) hash.update(piece);
  return hash.digest('hex');
}

/** Gives the bytes of tensors, in pieces; one of half precision lasts until the next. */
function encoderOf(dtype: SafetensorsDtype): (name: string, values: Float32Array) => Generator<Uint8Array> {
  const halves = new Uint16Array(dtype === 'F32' ? 0 : PIECE_BYTES / 4);
  return function* (name, values) {
    for (const piece of pieces(values))
      yield bytesOf(dtype === 'F32' ? piece : narrowed(piece, halves, dtype, name));
  };
}

function sortedNames(tensors: Tensors): string[] {
  return [...tensors.keys()].sort();
}

function renderHeader(tensors: Tensors, { dtype, metadata }: SafetensorsFormat): Uint8Array {
  const header: [string, unknown][] = metadata === undefined ? [] : [['__metadata__', metadata]];
  let offset = 0;
  for (const name of sortedNames(tensors)) {
    const tensor = tensors.get(name)!;
    const { shape } = tensor;
    const count = elementCount(shape);
    if ('data' in tensor && tensor.data.length !== count) {
      const message = `tensor "${name}": ${tensor.data.length} values, shape [${shape.join(', ')}]`;
      throw new ForgeError('SHAPE_MISMATCH', message, { tensor: name });
    }
    const end = offset + count * DTYPE_BYTES[dtype];
    header.push([name, { dtype, shape, data_offsets: [offset, end] }]);
    offset = end;
  }
  const json = Buffer.from(JSON.stringify(Object.fromEntries(header)));
  // Trailing spaces keep the data section aligned for readers that map the file.
  const padded = Buffer.alloc(PREFIX_BYTES + Math.ceil(json.length / 8) * 8, ' ');
  padded.writeBigUInt64LE(BigInt(padded.length - PREFIX_BYTES), 0);
  json.copy(padded, PREFIX_BYTES);
  return padded;
}

const INFINITY_BITS = { F16: 0x7c00, BF16: 0x7f80 } as const;

/** `values` in half precision, in the memory of `halves`. */
function narrowed(
  values: Float32Array,
  halves: Uint16Array,
  dtype: 'F16' | 'BF16',
  name: string,
): Uint16Array {
  const result = (dtype === 'F16' ? encodeFloat16 : encodeBfloat16)(
    values,
    halves.subarray(0, values.length),
  );
  const infinity = INFINITY_BITS[dtype];
  for (let i = 0; i < result.length; i++) {
    if ((result[i]! & 0x7fff) !== infinity || !Number.isFinite(values[i]!)) continue;
    throw new ForgeError(
      'NUMERIC_NON_FINITE',
      `tensor "${name}": ${values[i]} is too large for ${dtype}; save as ${dtype === 'F16' ? 'BF16 or ' : ''}F32 instead`,
      { tensor: name, value: values[i]!, dtype },
    );
  }
  return result;
}

async function openModelFile(path: string): Promise<FileHandle> {
  try {
    return await open(path, 'r');
  } catch (cause) {
    throw new ForgeError(
      'CONFIG_MODEL_MISSING',
      `${path}: ${(cause as Error).message}`,
      { file: path },
      { cause },
    );
  }
}

/** Fills `target` from `position` of the file on; `onBytes` sees each piece once it is read, while the next one is. */
export async function readFully(
  file: FileHandle,
  target: Uint8Array,
  position: number,
  path: string,
  onBytes?: OnBytes,
): Promise<void> {
  const pieceBytes = onBytes === undefined ? MAX_TRANSFER_BYTES : PIECE_BYTES;
  let told = 0;
  for (let done = 0; done < target.length;) {
    const reading = file.read(target, done, Math.min(pieceBytes, target.length - done), position + done);
    onBytes?.(target.subarray(told, done));
    told = done;
    const { bytesRead } = await reading;
    if (bytesRead === 0) {
      throw corrupt(path, `truncated: found ${position + done} bytes, expected ${position + target.length}`);
    }
    done += bytesRead;
  }
  onBytes?.(target.subarray(told));
}

async function writeFully(file: FileHandle, bytes: Uint8Array): Promise<void> {
  for (let done = 0; done < bytes.length;)
    done += (await file.write(bytes, done, bytes.length - done)).bytesWritten;
}
