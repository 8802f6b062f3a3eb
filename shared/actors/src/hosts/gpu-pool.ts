import { ForgeError } from '@forge/errors';

/** The GPUs of one machine, by index, and which of them are free. */
export class GpuPool {
  private readonly free: Set<number>;

  /** @throws {ForgeError} CONFIG_INVALID for anything but distinct indices. */
  constructor(readonly ids: readonly number[]) {
    const wrong = ids.find((id) => !Number.isSafeInteger(id) || id < 0);
    if (wrong !== undefined || new Set(ids).size !== ids.length)
      throw new ForgeError('CONFIG_INVALID', `GPUs are distinct indices from 0, found ${ids.join(', ')}`, {
        ids,
      });
    this.free = new Set(ids);
  }

  get available(): readonly number[] {
    return [...this.free].sort((a, b) => a - b);
  }

  /**
   * Takes the `count` lowest that are free.
   *
   * @throws {ForgeError} CAPACITY_GPUS with the numbers; then none is taken.
   */
  allocate(count: number): number[] {
    const taken = this.available.slice(0, count);
    if (taken.length < count) {
      const numbers = { wanted: count, free: this.free.size, total: this.ids.length };
      const message = `${count} GPUs are wanted, ${this.free.size} of ${this.ids.length} are free`;
      throw new ForgeError('CAPACITY_GPUS', message, numbers);
    }
    for (const id of taken) this.free.delete(id);
    return taken;
  }

  /** Gives back what `allocate` gave. */
  release(ids: readonly number[]): void {
    for (const id of ids) {
      if (!this.ids.includes(id) || this.free.has(id))
        throw new ForgeError('BUG_INVARIANT', `GPU ${id} is not in use`, { id });
      this.free.add(id);
    }
  }
}
