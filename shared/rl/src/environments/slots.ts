/** Places that work at the same time shares, given in the order in which they are asked for. */
export class Slots {
  private readonly waiting: { count: number; go: () => void }[] = [];
  private free: number;

  constructor(readonly size: number) {
    this.free = size;
  }

  /** The result of `work`, which starts once there are `count` places for it, at most `size`. */
  async during<T>(count: number, work: () => Promise<T>): Promise<T> {
    await this.take(count);
    try {
      return await work();
    } finally {
      this.give(count);
    }
  }

  private take(count: number): Promise<void> {
    if (this.waiting.length === 0 && this.free >= count) {
      this.free -= count;
      return Promise.resolve();
    }
    return new Promise((go) => this.waiting.push({ count, go }));
  }

  private give(count: number): void {
    this.free += count;
    for (let [next] = this.waiting; next !== undefined && this.free >= next.count; [next] = this.waiting) {
      this.waiting.shift();
      this.free -= next.count;
      next.go();
    }
  }
}
