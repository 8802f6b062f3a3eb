/** Places that work at the same time shares, given in the order in which they are asked for. */
export class Slots {
  private readonly waiting: { count: number; go: (given: number) => void }[] = [];
  private taken = 0;

  constructor(private places: number) {}

  /** The result of `work`, which starts once there are `count` places for it, or as many as there are at all. */
  async during<T>(count: number, work: (given: number) => Promise<T>): Promise<T> {
    const given = await new Promise<number>((go) => {
      this.waiting.push({ count, go });
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
