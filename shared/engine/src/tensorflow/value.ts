import type { DType } from '@forge/graph';
import type { HostTensor } from '../engine';
import { TYPE } from './binding';
import type { Runtime } from './runtime';

/**
 * A tensor as a handle of TensorFlow, as numbers on the host, or both: each is made when first asked for; with neither it
 * is the outline of a tensor that is not computed yet. The handle is freed with the last holder, the first of which is who
 * makes the value.
 */
export class Value {
  private holders = 1;

  constructor(
    private readonly runtime: Runtime,
    readonly dtype: DType,
    readonly shape: readonly number[],
    private id: number | null,
    private numbers: Float64Array | null = null,
    /** TensorFlow's number of the dtype that the handle has. */
    readonly type: number = TYPE[dtype],
  ) {}

  /** Whether its numbers are known without asking the device. */
  get isOnHost(): boolean {
    return this.numbers !== null;
  }

  get size(): number {
    return this.shape.reduce((product, dim) => product * dim, 1);
  }

  handle(): number {
    return (this.id ??= this.runtime.send(this.read()));
  }

  /** Elements as numbers, for small tensors. */
  host(): Float64Array {
    return (this.numbers ??= Float64Array.from(this.read().data as ArrayLike<number | bigint>, Number));
  }

  read(): HostTensor {
    const { dtype, shape } = this;
    if (this.id !== null) return { dtype, shape, data: this.runtime.download(this.id) };
    const numbers = this.numbers!;
    switch (dtype) {
      case 'float32':
        return { dtype, shape, data: Float32Array.from(numbers) };
      case 'int64':
        return { dtype, shape, data: BigInt64Array.from(numbers, BigInt) };
      case 'bool':
        return { dtype, shape, data: Uint8Array.from(numbers) };
    }
  }

  hold(): this {
    this.holders += 1;
    return this;
  }

  release(): void {
    this.holders -= 1;
    if (this.holders > 0 || this.id === null) return;
    this.runtime.free(this.id);
    this.id = null;
  }
}
