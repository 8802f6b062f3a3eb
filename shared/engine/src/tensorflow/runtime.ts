import { ForgeError } from '@forge/errors';
import type { DType } from '@forge/graph';
import type { HostTensor } from '../engine';
import { DTYPES, typed, TYPE, type Binding, type OpAttribute } from './binding';
import { Value } from './value';

/** Vectors of lengths and axes that are remembered before all are made anew. */
const INTS_AT_MOST = 4096;

/** TensorFlow's ops over values, and the small int32 tensors that name their shapes and axes. */
export class Runtime {
  private readonly vectors = new Map<string, number>();

  constructor(private readonly binding: Binding) {}

  get tensors(): number {
    return this.binding.getNumOfTensors();
  }

  /** @throws {ForgeError} SHAPE_MISMATCH with TensorFlow's reason when it refuses the op. */
  execute(
    name: string,
    attributes: readonly OpAttribute[],
    inputs: readonly number[],
    outputs: number,
  ): Value[] {
    let results;
    try {
      results = this.binding.executeOp(name, attributes, inputs, outputs);
    } catch (cause) {
      throw refusal(name, cause);
    }
    return results.map(({ id, shape, dtype }) => new Value(this, DTYPES[dtype] ?? 'float32', shape, id));
  }

  /** The tensor on the device; on the CPU that may be the same memory, which then must not change any more. */
  send({ dtype, shape, data }: HostTensor): number {
    const bytes = data instanceof BigInt64Array ? halves(data) : data;
    return this.binding.createTensor(shape, TYPE[dtype], bytes);
  }

  /** A copy of the tensor on the device, whatever becomes of the memory it came from. */
  put(tensor: HostTensor): Value {
    const { dtype, shape } = tensor;
    const sent = new Value(this, dtype, shape, this.send(tensor));
    return this.binding.isUsingGpuDevice() ? sent : this.copy(sent);
  }

  /** The value in memory of its own, in place of `value`. */
  copy(value: Value): Value {
    const [copied] = this.execute('DeepCopy', [typed('T', value.dtype)], [value.handle()], 1);
    value.release();
    return copied!;
  }

  download(id: number): HostTensor['data'] {
    return this.binding.tensorDataSync(id) as HostTensor['data'];
  }

  free(id: number): void {
    this.binding.deleteTensor(id);
  }

  /** The handle of an int32 vector, or of a scalar where `values` is a number. */
  ints(values: readonly number[] | number): number {
    const isScalar = typeof values === 'number';
    const key = isScalar ? `${values}` : `[${values.join()}]`;
    const known = this.vectors.get(key);
    if (known !== undefined) return known;
    const data = Int32Array.from(isScalar ? [values] : values);
    const made = this.binding.createTensor(isScalar ? [] : [data.length], TYPE.int32, data);
    this.vectors.set(key, made);
    return made;
  }

  /** Forgets the vectors when they are many; to be called between runs. */
  tidy(): void {
    if (this.vectors.size <= INTS_AT_MOST) return;
    for (const id of this.vectors.values()) this.binding.deleteTensor(id);
    this.vectors.clear();
  }

  /** A value that the host knows; it is sent to the device when an op there needs it. */
  known(dtype: DType, shape: readonly number[], numbers: Float64Array): Value {
    return new Value(this, dtype, shape, null, numbers);
  }
}

/** The binding takes int64 as pairs of int32. */
function halves({ buffer, byteOffset, length }: BigInt64Array): Int32Array {
  return new Int32Array(buffer, byteOffset, 2 * length);
}

function refusal(op: string, cause: unknown): ForgeError {
  const reason = cause instanceof Error ? cause.message : String(cause);
  if (/OOM|out of memory|RESOURCE_EXHAUSTED|failed to allocate/i.test(reason)) {
    const message = `TensorFlow has no memory left for ${op}: ${reason}; take smaller micro-batches, or recompute`;
    return new ForgeError('CAPACITY_EXCEEDED', message, { op }, { cause });
  }
  return new ForgeError('SHAPE_MISMATCH', `TensorFlow refuses ${op}: ${reason}`, { op }, { cause });
}
