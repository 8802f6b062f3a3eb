import { createHash } from 'node:crypto';
import { open, type FileHandle } from 'node:fs/promises';
import { ForgeError } from '@forge/errors';
import { replaceFile } from '@forge/files';
import { decodeBfloat16, decodeFloat16, encodeBfloat16, encodeFloat16 } from './half-precision';
import { bytesOf, elementCount, type NamedTensor, type Parameters } from './parameters';
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

/** One `read` or `write` of Node moves less than 2 GiB. */
const MAX_TRANSFER_BYTES = 1 << 30;

/** The size and the header of a safetensors file. */
export async function readHeader(
  file: FileHandle,
  path: string,
): Promise<{ sizeBytes: number; tensors: TensorEntry<string>[] }> {
  const { size } = await file.stat();
  const prefix = new Uint8Array(PREFIX_BYTES);
  await readFully(file, prefix.subarray(0, Math.min(size, PREFIX_BYTES)), 0, path);
  const json = new Uint8Array(headerLength(prefix, size, path));
  await readFully(file, json, PREFIX_BYTES, path);
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
      const entry = readable(stored, path);
      const bytes = new Uint8Array(entry.sizeBytes);
      await readFully(file, bytes, entry.offset, path);
      parameters.set(entry.name, { shape: entry.shape, data: toFloat32(bytes, entry) });
    }
    return parameters;
  } finally {
    await file.close();
  }
}

/**
 * The tensors of a safetensors file that lies in `bytes`. F32 tensors are views of `bytes`, not copies.
 *
 * @throws {ForgeError} CONTRACT_WEIGHTS_CORRUPT or CONFIG_MODEL_UNSUPPORTED, where `file` names the origin of `bytes`.
 */
export function parseSafetensors(bytes: Uint8Array, file: string): Parameters {
  const length = headerLength(bytes, bytes.length, file);
  const json = bytes.subarray(PREFIX_BYTES, PREFIX_BYTES + length);
  const parameters: Parameters = new Map();
  for (const stored of parseHeader(json, bytes.length, file)) {
    const entry = readable(stored, file);
    const data = bytes.subarray(entry.offset, entry.offset + entry.sizeBytes);
    const aligned = data.byteOffset % DTYPE_BYTES[entry.dtype] === 0 ? data : data.slice();
    parameters.set(entry.name, { shape: entry.shape, data: toFloat32(aligned, entry) });
  }
  return parameters;
}

/**
 * Writes `parameters` in name order, so equal parameters give equal bytes. The file appears complete or not at all.
 * `onBytes` sees every byte in order, for a checksum that needs no second pass.
 *
 * @throws {ForgeError} NUMERIC_NON_FINITE when a finite value is too large for F16, naming the tensor.
 */
export async function writeSafetensors(
  path: string,
  parameters: Parameters,
  options: {
    dtype: SafetensorsDtype;
    metadata?: Readonly<Record<string, string>>;
    onBytes?: (bytes: Uint8Array) => void;
  },
): Promise<void> {
  const names = [...parameters.keys()].sort();
  const content = async (file: FileHandle): Promise<void> => {
    const write = async (bytes: Uint8Array): Promise<void> => {
      options.onBytes?.(bytes);
      await writeFully(file, bytes);
    };
    await write(renderHeader(names, parameters, options));
    for (const name of names) await write(fromFloat32(parameters.get(name)!, options.dtype, name));
  };
  // A version is checked by its hash when it is read, so that a step need not wait for the disk.
  await replaceFile(path, content, { flush: false });
}

/** sha256 of the F32 file that `writeSafetensors` would write: the name of a run's version with these parameters. */
export function hashSafetensors(parameters: Parameters): string {
  const names = [...parameters.keys()].sort();
  const hash = createHash('sha256').update(renderHeader(names, parameters, { dtype: 'F32' }));
  for (const name of names) hash.update(bytesOf(parameters.get(name)!.data));
  return hash.digest('hex');
}

function renderHeader(
  names: readonly string[],
  parameters: Parameters,
  { dtype, metadata }: { dtype: SafetensorsDtype; metadata?: Readonly<Record<string, string>> },
): Uint8Array {
  const header: [string, unknown][] = metadata === undefined ? [] : [['__metadata__', metadata]];
  let offset = 0;
  for (const name of names) {
    const { shape, data } = parameters.get(name)!;
    if (elementCount(shape) !== data.length) {
      throw new ForgeError(
        'SHAPE_MISMATCH',
        `tensor "${name}": ${data.length} values, shape [${shape.join(', ')}]`,
        {
          tensor: name,
        },
      );
    }
    const end = offset + data.length * DTYPE_BYTES[dtype];
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

function toFloat32(bytes: Uint8Array, { dtype }: TensorEntry): Float32Array {
  if (dtype === 'F32') return new Float32Array(bytes.buffer, bytes.byteOffset, bytes.length / 4);
  const halves = new Uint16Array(bytes.buffer, bytes.byteOffset, bytes.length / 2);
  return dtype === 'F16' ? decodeFloat16(halves) : decodeBfloat16(halves);
}

function fromFloat32({ data }: NamedTensor, dtype: SafetensorsDtype, name: string): Uint8Array {
  if (dtype === 'F32') return bytesOf(data);
  const halves = dtype === 'F16' ? encodeFloat16(data) : encodeBfloat16(data);
  const overflow = data.findIndex(
    (value, i) => Number.isFinite(value) && (halves[i]! & 0x7fff) === INFINITY_BITS[dtype],
  );
  if (overflow >= 0) {
    throw new ForgeError(
      'NUMERIC_NON_FINITE',
      `tensor "${name}": ${data[overflow]} is too large for ${dtype}; save as BF16 or F32 instead`,
      { tensor: name, value: data[overflow], dtype },
    );
  }
  return new Uint8Array(halves.buffer);
}

const INFINITY_BITS = { F16: 0x7c00, BF16: 0x7f80 } as const;

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

/** Fills `target` from `position` of the file on; `onBytes` sees each piece once it is read. */
export async function readFully(
  file: FileHandle,
  target: Uint8Array,
  position: number,
  path: string,
  {
    pieceBytes = MAX_TRANSFER_BYTES,
    onBytes,
  }: { pieceBytes?: number; onBytes?: (bytes: Uint8Array) => void } = {},
): Promise<void> {
  for (let done = 0; done < target.length;) {
    const length = Math.min(pieceBytes, target.length - done);
    const { bytesRead } = await file.read(target, done, length, position + done);
    if (bytesRead === 0) {
      throw corrupt(path, `truncated: found ${position + done} bytes, expected ${position + target.length}`);
    }
    onBytes?.(target.subarray(done, done + bytesRead));
    done += bytesRead;
  }
}

async function writeFully(file: FileHandle, bytes: Uint8Array): Promise<void> {
  for (let done = 0; done < bytes.length;) {
    const { bytesWritten } = await file.write(bytes, done, Math.min(MAX_TRANSFER_BYTES, bytes.length - done));
    done += bytesWritten;
  }
}
