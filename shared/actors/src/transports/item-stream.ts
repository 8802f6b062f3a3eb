import { ForgeError } from '@forge/errors';
import { errorOf, KIND, malformed, type Frame } from '../wire/frame';
import type { Exchange, Waiter } from './exchange';

/** Items that an endpoint may yield before the consumer asks for the first of them. */
export const STREAM_WINDOW = 16;
/** Credit is given back in portions. */
const CREDIT_ITEMS = STREAM_WINDOW / 2;

export interface StreamSource {
  open(waiter: Waiter): Exchange;
  finish(exchange: Exchange): void;
  credit(exchange: Exchange, items: number): void;
  cancel(exchange: Exchange): void;
}

interface Taker {
  resolve: (result: IteratorResult<unknown, undefined>) => void;
  reject: (error: ForgeError) => void;
}

const DONE: IteratorResult<unknown, undefined> = { done: true, value: undefined };

/**
 * The items of a stream. The call starts with the first `next`; an iteration that ends early, also while a `next` is
 * waited for, cancels it.
 */
export class ItemStream implements AsyncIterator<unknown, undefined>, Waiter {
  private exchange: Exchange | null = null;
  private readonly items: unknown[] = [];
  private readonly takers: Taker[] = [];
  private received = 0;
  private owed = 0;
  /** End of the stream, once it has come; an error is told once. */
  private outcome: ForgeError | 'ended' | null = null;

  constructor(private readonly source: StreamSource) {}

  next(): Promise<IteratorResult<unknown, undefined>> {
    if (this.exchange === null && this.outcome === null) this.exchange = this.source.open(this);
    if (this.items.length > 0) {
      const value = this.items.shift();
      this.repay();
      return Promise.resolve({ done: false, value });
    }
    if (this.outcome instanceof ForgeError) {
      const error = this.outcome;
      this.outcome = 'ended';
      return Promise.reject(error);
    }
    if (this.outcome === 'ended') return Promise.resolve(DONE);
    return new Promise((resolve, reject) => this.takers.push({ resolve, reject }));
  }

  return(): Promise<IteratorResult<unknown, undefined>> {
    if (this.outcome === null && this.exchange !== null) this.source.cancel(this.exchange);
    this.items.length = 0;
    this.end('ended');
    return Promise.resolve(DONE);
  }

  onFrame(frame: Frame): void {
    switch (frame[0]) {
      case KIND.chunk:
        this.take(frame[2]);
        return;
      case KIND.end:
        this.source.finish(this.exchange!);
        this.end('ended');
        return;
      case KIND.error: {
        const error = errorOf(frame);
        this.source.finish(this.exchange!);
        this.end(error);
        return;
      }
      default:
        throw malformed('a result as the answer to a stream');
    }
  }

  onFailure(error: ForgeError): void {
    const { code, message, details } = error;
    const counted =
      code === 'TRANSIENT_REPLICA_LOST'
        ? new ForgeError(code, `${message}, after ${this.received} items`, {
            ...details,
            items: this.received,
          })
        : error;
    this.end(counted);
  }

  private take(item: unknown): void {
    this.received++;
    const taker = this.takers.shift();
    if (taker === undefined) {
      if (this.items.length >= STREAM_WINDOW) throw malformed('more items than it was asked for');
      this.items.push(item);
      return;
    }
    taker.resolve({ done: false, value: item });
    this.repay();
  }

  private repay(): void {
    if (this.outcome !== null || this.exchange === null || ++this.owed < CREDIT_ITEMS) return;
    this.source.credit(this.exchange, this.owed);
    this.owed = 0;
  }

  private end(outcome: ForgeError | 'ended'): void {
    if (this.outcome !== null && outcome !== 'ended') return;
    this.outcome = outcome;
    for (const taker of this.takers.splice(0)) {
      if (this.outcome instanceof ForgeError) {
        taker.reject(this.outcome);
        this.outcome = 'ended';
      } else {
        taker.resolve(DONE);
      }
    }
  }
}
