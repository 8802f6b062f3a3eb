import { Fifo } from './fifo';

interface Message {
  readonly isConcurrent: boolean;
  readonly run: Run;
}

/** Answers a message at once, or by the end of the promise; never throws or rejects. */
type Run = () => Promise<void> | undefined;

/**
 * The messages of one actor. They start in the order in which they came; an exclusive one is alone until it ends,
 * except for concurrent ones that started before it.
 */
export class Mailbox {
  private readonly waiting = new Fifo<Message>();
  private isBusy = false;
  private running = 0;
  private whenIdle: (() => void)[] = [];

  add(isConcurrent: boolean, run: Run): void {
    const message = { isConcurrent, run };
    if (this.isBusy) this.waiting.add(message);
    else {
      this.start(message);
      this.startNext();
    }
  }

  /** Resolves when nothing runs and nothing waits. */
  async idle(): Promise<void> {
    if (this.running > 0) await new Promise<void>((resolve) => this.whenIdle.push(resolve));
  }

  private start({ isConcurrent, run }: Message): void {
    this.running++;
    if (!isConcurrent) this.isBusy = true;
    const running = run();
    if (running === undefined) this.end(isConcurrent);
    else
      void running.then(() => {
        this.end(isConcurrent);
        this.startNext();
      });
  }

  private end(isConcurrent: boolean): void {
    this.running--;
    if (!isConcurrent) this.isBusy = false;
  }

  private startNext(): void {
    while (!this.isBusy) {
      const next = this.waiting.take();
      if (next === undefined) break;
      this.start(next);
    }
    if (this.running > 0) return;
    for (const resolve of this.whenIdle.splice(0)) resolve();
  }
}
