import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { ForgeError } from '@forge/errors';
import type { DType } from '@forge/graph';
import { deviceError, reasonOf } from '../device-errors';
import type { HostTensor } from '../engine';
import { DTYPES, flag, typed, TYPE, type Binding, type OpAttribute, type OpResult } from './binding';
import { GRAPH_TAG } from './graph-bytes';
import { Value } from './value';

/** Vectors of lengths and axes that are remembered before all are made anew. */
const INTS_AT_MOST = 4096;
/** Graphs that stay loaded, a few MB each. */
const SESSIONS_AT_MOST = 16;

/** A graph, and the names of the tensors it takes and gives, divided by commas. */
export interface GraphCall {
  readonly bytes: Buffer;
  /** The same for equal graphs alone. */
  readonly key: string;
  readonly inputs: string;
  readonly outputs: string;
}

/** TensorFlow's ops over values, and the small int32 tensors that name their shapes and axes. */
export class Runtime {
  private readonly vectors = new Map<string, number>();
  private readonly alive = new Set<number>();
  /** Graphs that are loaded by their hash, the one used last at the end. */
  private readonly sessions = new Map<string, number>();

  constructor(private readonly binding: Binding) {}

  /** Handles that are alive. */
  get tensors(): number {
    return this.binding.getNumOfTensors();
  }

  get isOnGpu(): boolean {
    return this.binding.isUsingGpuDevice();
  }

  /** @throws {ForgeError} SHAPE_MISMATCH with TensorFlow's reason when it refuses the op; CAPACITY_DEVICE_MEMORY. */
  execute(
    name: string,
    attributes: readonly OpAttribute[],
    inputs: readonly number[],
    outputs: number,
  ): Value[] {
    return this.claimed(name, () => this.binding.executeOp(name, attributes, inputs, outputs));
  }

  /** The results of a graph, which is loaded unless it is among those used last. */
  runGraph(graph: GraphCall, handles: readonly number[]): Value[] {
    const session = this.sessionOf(graph);
    const { inputs, outputs } = graph;
    return this.claimed('a graph', () => this.binding.runSavedModel(session, handles, inputs, outputs));
  }

  /** A tensor of which the shape alone is known. */
  outline(shape: readonly number[]): Value {
    return new Value(this, 'float32', shape, null);
  }

  /** The tensor on the device; on the CPU that may be the same memory, which then must not change any more. */
  send({ dtype, shape, data }: HostTensor): number {
    const bytes = data instanceof BigInt64Array ? halves(data) : data;
    return this.create(shape, TYPE[dtype], bytes);
  }

  /** A copy of the tensor on the device, whatever becomes of the memory it came from. */
  put(tensor: HostTensor): Value {
    const { dtype, shape } = tensor;
    const sent = new Value(this, dtype, shape, this.send(tensor));
    return this.isOnGpu ? sent : this.copy(sent);
  }

  /** A float32 tensor on the device in bfloat16. */
  putRounded(tensor: HostTensor): Value {
    const sent = new Value(this, tensor.dtype, tensor.shape, this.send(tensor));
    const attributes = [typed('SrcT', 'float32'), typed('DstT', 'bfloat16'), flag('Truncate', false)];
    const [rounded] = this.execute('Cast', attributes, [sent.handle()], 1);
    sent.release();
    return rounded!;
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
    this.alive.delete(id);
    this.binding.deleteTensor(id);
  }

  /** The handle of an int32 vector, or of a scalar where `values` is a number. */
  ints(values: readonly number[] | number): number {
    const isScalar = typeof values === 'number';
    const key = isScalar ? `${values}` : `[${values.join()}]`;
    const known = this.vectors.get(key);
    if (known !== undefined) return known;
    const data = Int32Array.from(isScalar ? [values] : values);
    const made = this.create(isScalar ? [] : [data.length], TYPE.int32, data);
    this.vectors.set(key, made);
    return made;
  }

  /** Forgets the vectors when they are many; to be called between runs. */
  tidy(): void {
    if (this.vectors.size <= INTS_AT_MOST) return;
    for (const id of this.vectors.values()) this.free(id);
    this.vectors.clear();
  }

  /** The results of a call, each a tensor that is new. */
  private claimed(name: string, compute: () => readonly OpResult[]): Value[] {
    try {
      for (;;) {
        const results = compute();
        if (this.claims(results.map(({ id }) => id)))
          return results.map(
            ({ id, shape, dtype }) => new Value(this, DTYPES[dtype] ?? 'float32', shape, id, null, dtype),
          );
      }
    } catch (cause) {
      throw this.refusal(name, cause);
    }
  }

  /** A graph is the same for other weights: it outlives the program that it came with. */
  private sessionOf({ key, bytes }: GraphCall): number {
    const session = this.sessions.get(key) ?? this.load(bytes);
    this.sessions.delete(key);
    this.sessions.set(key, session);
    const [oldest] = this.sessions;
    if (this.sessions.size > SESSIONS_AT_MOST && oldest !== undefined) {
      this.sessions.delete(oldest[0]);
      this.binding.deleteSavedModel(oldest[1]);
    }
    return session;
  }

  private load(bytes: Buffer): number {
    const directory = mkdtempSync(join(tmpdir(), 'forge-graph-'));
    try {
      writeFileSync(join(directory, 'saved_model.pb'), bytes);
      return this.binding.loadSavedModel(directory, GRAPH_TAG);
    } finally {
      rmSync(directory, { recursive: true });
    }
  }

  private create(
    shape: readonly number[],
    dtype: number,
    data: Float32Array | Int32Array | Uint8Array,
  ): number {
    try {
      for (;;) {
        const id = this.binding.createTensor(shape, dtype, data);
        if (this.claims([id])) return id;
      }
    } catch (cause) {
      throw this.refusal(`a tensor of shape [${shape.join(', ')}]`, cause);
    }
  }

  /**
   * Whether new handles are of no tensor that is alive. The binding counts them in 32 bits, and after days it comes past those
   * of tensors that live as long as the process: what it made then is lost, and is made again.
   */
  private claims(ids: readonly number[]): boolean {
    const isNew = ids.every((id) => !this.alive.has(id));
    for (const id of ids) {
      if (isNew) this.alive.add(id);
      else if (!this.alive.has(id)) this.binding.deleteTensor(id);
    }
    return isNew;
  }

  private refusal(what: string, cause: unknown): ForgeError {
    const message = `TensorFlow refuses ${what}: ${reasonOf(cause)}`;
    return (
      deviceError(this.isOnGpu ? 'cuda' : 'cpu', cause) ??
      new ForgeError('SHAPE_MISMATCH', message, { what }, { cause })
    );
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
