import { createHash } from 'node:crypto';

/** A tensor of a model: row-major float32 values; `data.length` is the product of `shape`. */
export interface NamedTensor {
  readonly shape: readonly number[];
  readonly data: Float32Array;
}

/** The tensors of a model by their Hugging Face names. */
export type Parameters = Map<string, NamedTensor>;

/** A tensor whose values lie elsewhere, as on a device. */
export interface UnreadTensor {
  readonly shape: readonly number[];
  /** A copy of its values, `elementCount(shape)` of them. */
  read(): Promise<Float32Array>;
}

/** Tensors by name; the values of some may have to be read first, which a writer does one after the other. */
export type Tensors = ReadonlyMap<string, NamedTensor | UnreadTensor>;

export async function valuesOf(tensor: NamedTensor | UnreadTensor): Promise<Float32Array> {
  return 'data' in tensor ? tensor.data : tensor.read();
}

/** All of the tensors with their values. */
export async function readTensors(tensors: Tensors): Promise<Parameters> {
  const parameters: Parameters = new Map();
  for (const [name, tensor] of tensors)
    parameters.set(name, { shape: tensor.shape, data: await valuesOf(tensor) });
  return parameters;
}

/** Number of values a tensor of `shape` holds; a scalar (shape []) holds one. */
export function elementCount(shape: readonly number[]): number {
  return shape.reduce((product, size) => product * size, 1);
}

/** The little-endian bytes of `data`, not copied. Node runs on little-endian machines only. */
export function bytesOf(data: Float32Array | Uint16Array): Uint8Array {
  return new Uint8Array(data.buffer, data.byteOffset, data.byteLength);
}

/** Size small enough that hashing a piece does not hold up heartbeats; a hash takes less than 2 GiB at once. */
export const PIECE_BYTES = 4 << 20;

/** `array` in views of at most `PIECE_BYTES`, in order. */
export function* pieces<T extends Uint8Array | Float32Array>(array: T): Generator<T> {
  const length = PIECE_BYTES / array.BYTES_PER_ELEMENT;
  for (let at = 0; at < array.length; at += length) yield array.subarray(at, at + length) as T;
}

/** Sha256 (hex) over names, shapes and bytes in name order: equal exactly when the parameters are the same bits. */
export function parametersHash(parameters: Parameters): string {
  const hash = createHash('sha256');
  for (const name of [...parameters.keys()].sort()) {
    const { shape, data } = parameters.get(name)!;
    hash.update(`${JSON.stringify([name, shape])}\n`);
    for (const piece of pieces(bytesOf(data))) hash.update(piece);
  }
  return hash.digest('hex');
}
