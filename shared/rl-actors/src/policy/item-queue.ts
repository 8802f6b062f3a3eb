/** Items that somebody adds while another one loops over them, until a last one or an error. */
export class ItemQueue<T> {
  private readonly items: T[] = [];
  private isOver = false;
  private error: unknown = null;
  private wake: () => void = () => undefined;

  add(item: T): void {
    this.items.push(item);
    this.wake();
  }

  /** Ends the loop after `last`. */
  end(last: T): void {
    this.isOver = true;
    this.add(last);
  }

  /** Ends the loop with an error, once the items before it are taken. */
  fail(error: unknown): void {
    this.isOver = true;
    this.error = error;
    this.wake();
  }

  async *[Symbol.asyncIterator](): AsyncGenerator<T> {
    for (;;) {
      while (this.items.length > 0) yield this.items.shift()!;
      if (this.isOver) break;
      await new Promise<void>((resolve) => (this.wake = resolve));
    }
    if (this.error !== null) throw this.error;
  }
}
