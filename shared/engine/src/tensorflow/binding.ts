import { existsSync } from 'node:fs';
import { createRequire } from 'node:module';
import { join } from 'node:path';
import { ForgeError } from '@forge/errors';
import type { DType } from '@forge/graph';

/** An attribute of an op as the binding takes it. */
export interface OpAttribute {
  readonly name: string;
  readonly type: number;
  readonly value: number | boolean | string | readonly number[];
}

/** A result of an op: its handle, and its shape. */
export interface OpResult {
  readonly id: number;
  readonly shape: number[];
  readonly dtype: number;
}

/** The part in use of the N-API binding of tfjs-node 4.22: TensorFlow's eager ops, and its graphs, over handles. */
export interface Binding {
  createTensor(shape: readonly number[], dtype: number, data: Float32Array | Int32Array | Uint8Array): number;
  deleteTensor(id: number): void;
  tensorDataSync(id: number): Float32Array | Int32Array | BigInt64Array | Uint8Array;
  executeOp(
    name: string,
    attributes: readonly OpAttribute[],
    inputs: readonly number[],
    outputs: number,
  ): OpResult[];
  /** The session of a graph in `directory`. */
  loadSavedModel(directory: string, tag: string): number;
  deleteSavedModel(session: number): void;
  /** Names are divided by commas. */
  runSavedModel(session: number, inputs: readonly number[], from: string, to: string): OpResult[];
  getNumOfTensors(): number;
  isUsingGpuDevice(): boolean;
}

/**
 * TensorFlow's numbers of dtypes; int32 is that of shapes and axes, which lie in host memory on every device, bfloat16 that
 * of rounded factors and their products.
 */
export const TYPE = { float32: 1, int32: 3, int64: 9, bool: 10, bfloat16: 14 } as const;
export const DTYPES: Readonly<Record<number, DType>> = { 1: 'float32', 9: 'int64', 10: 'bool' };

const KIND = { string: 0, int: 1, bool: 3, type: 4, shape: 5 } as const;

export const typed = (name: string, dtype: keyof typeof TYPE): OpAttribute => ({
  name,
  type: KIND.type,
  value: TYPE[dtype],
});
export const flag = (name: string, value: boolean): OpAttribute => ({ name, type: KIND.bool, value });
export const whole = (name: string, value: number): OpAttribute => ({ name, type: KIND.int, value });
export const text = (name: string, value: string): OpAttribute => ({ name, type: KIND.string, value });
export const shaped = (name: string, value: readonly number[]): OpAttribute => ({
  name,
  type: KIND.shape,
  value,
});

/**
 * The binding in `folder`, beside the libraries of TensorFlow that it needs.
 *
 * @throws {ForgeError} ENGINE_NOT_INSTALLED when it is not there or does not load.
 */
export function loadBinding(folder: string): Binding {
  const path = join(folder, 'tfjs_binding.node');
  const wayOut = 'install it by npx forge engine install tensorflow, or set engine to onnx';
  if (!existsSync(path)) {
    throw new ForgeError('ENGINE_NOT_INSTALLED', `TensorFlow is not installed in ${folder}; ${wayOut}`, {
      engine: 'tensorflow',
      folder,
    });
  }
  try {
    return createRequire(__filename)(path) as Binding;
  } catch (cause) {
    const reason = cause instanceof Error ? cause.message : String(cause);
    const message = `TensorFlow in ${folder} does not load: ${reason}; ${wayOut}`;
    throw new ForgeError('ENGINE_NOT_INSTALLED', message, { engine: 'tensorflow', folder }, { cause });
  }
}
