/** Places that work at the same time shares, given in the order in which they are asked for, unless some goes first. */
export class Slots {
  private readonly waiting: { count: number; go: (given: number) => void }[] = [];
  private taken = 0;

  constructor(private places: number) {}

  /** Work that has a place at the same time, at most. */
  get count(): number {
    return this.places;
  }

  /**
   * The result of `work`, which starts once there are `count` places for it, or as many as there are at all.
   *
   * @throws the reason of the signal, which ends the wait.
   */
  async during<T>(
    count: number,
    work: (given: number) => Promise<T>,
    { isFirst = false, signal }: { isFirst?: boolean; signal?: AbortSignal | undefined } = {},
  ): Promise<T> {
    signal?.throwIfAborted();
    const given = await new Promise<number>((go, fail) => {
      const entry = { count, go };
      if (isFirst) this.waiting.unshift(entry);
      else this.waiting.push(entry);
      const leave = (): void => {
        const at = this.waiting.indexOf(entry);
        if (at < 0) return;
        this.waiting.splice(at, 1);
        fail(signal!.reason as Error);
        this.serve();
      };
      signal?.addEventListener('abort', leave, { once: true });
      this.serve();
    });
    try {
      return await work(given);
    } finally {
      this.taken -= given;
      this.serve();
    }
  }

  /** Makes them `places` at most, for good, but one at least. */
  narrow(places: number): void {
    this.places = Math.min(this.places, Math.max(1, places));
    this.serve();
  }

  private serve(): void {
    for (let [next] = this.waiting; next !== undefined; [next] = this.waiting) {
      const given = Math.min(next.count, this.places);
      if (this.taken + given > this.places) return;
      this.waiting.shift();
      this.taken += given;
      next.go(given);
    }
  }
}
