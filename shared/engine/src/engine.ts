import type { DType, Tensor } from '@forge/graph';

/** A concrete tensor in host memory, row-major. */
export interface HostTensor {
  readonly dtype: DType;
  readonly shape: readonly number[];
  readonly data: Float32Array | BigInt64Array | Uint8Array;
}

/** A concrete tensor in the memory of the device that computes. */
export interface DeviceTensor {
  readonly dtype: DType;
  readonly shape: readonly number[];
  /** A copy in host memory. */
  read(): Promise<HostTensor>;
  /** Frees its memory; a second call does nothing. */
  dispose(): void;
}

export type AnyTensor = HostTensor | DeviceTensor;

export type EngineName = 'onnx' | 'tensorflow';
export type DeviceName = 'cpu' | 'cuda' | 'webgpu';

export interface EngineOptions {
  engine: EngineName;
  device: DeviceName;
  /** Threads of one operator. */
  threads: number;
  /** Arithmetic of matrix products; sums and everything else stay float32. */
  mathMode: 'float32' | 'bfloat16';
}

export interface CompileOptions {
  /** Names of the outputs that stay on the device. */
  kept?: readonly string[];
}

export interface RunOptions {
  /** Names of feeds on the device that the run may write over; they are disposed of. */
  consumed?: readonly string[];
  /** Names of the outputs that are computed; all unless given. */
  wanted?: readonly string[];
}

/** The outputs of a run, by name. */
export interface RunOutputs {
  host: Record<string, HostTensor>;
  /** Outputs that stay on the device; the caller disposes of them. */
  kept: Record<string, DeviceTensor>;
}

/** A compiled graph. `run` blocks its thread while it computes, so it belongs in a worker thread. */
export interface Program {
  readonly inputNames: readonly string[];
  readonly outputNames: readonly string[];
  /** @throws {ForgeError} SHAPE_MISMATCH when an input is missing or does not fit. */
  run(feeds: Readonly<Record<string, AnyTensor>>, options?: RunOptions): Promise<RunOutputs>;
  release(): Promise<void>;
}

/** A library that computes graphs on one device. */
export interface Engine {
  readonly options: EngineOptions;
  /** The memory in which tensors are changed sooner between two runs: that of the host or that of the device. */
  readonly memory: 'host' | 'device';
  /** The program that computes `outputs` (by name) from the inputs of their graph. */
  compile(outputs: Readonly<Record<string, Tensor>>, options?: CompileOptions): Promise<Program>;
  /** A copy of `tensor` on the device. */
  put(tensor: HostTensor): Promise<DeviceTensor>;
}

export function isOnDevice(tensor: AnyTensor): tensor is DeviceTensor {
  return 'dispose' in tensor;
}
