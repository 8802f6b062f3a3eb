import { ForgeError } from '@forge/errors';
import type { CallRequest } from '../wire/call-request';
import { errorOf, KIND, malformed, requestFrame, type Frame } from '../wire/frame';
import type { FrameLink, LinkUser } from '../wire/frame-link';
import type { Deadlines } from './deadlines';
import type { Exchange, Waiter } from './exchange';
import { ItemStream } from './item-stream';
import type { Address, Channel, ChannelCallOptions } from './transport';

/** Posts that wait for room; further ones are dropped. */
const MAX_WAITING_POSTS = 10_000;

/** The caller's side of a link: a channel. */
export class CallChannel implements Channel, LinkUser {
  readonly lost: Promise<ForgeError>;
  private tellLost!: (reason: ForgeError) => void;
  private readonly underWay = new Map<number, Exchange>();
  /** Messages to send once the link has room, in order. Withdrawn calls leave a gap. */
  private readonly waiting: (() => void)[] = [];
  private nextId = 1;

  constructor(
    readonly address: Address,
    private readonly link: FrameLink,
    private readonly deadlines: Deadlines,
  ) {
    this.lost = new Promise((resolve) => (this.tellLost = resolve));
    link.handOver(this);
  }

  call(request: CallRequest, options: ChannelCallOptions = {}): Promise<unknown> {
    return new Promise((resolve, reject) => {
      const onFrame = (frame: Frame): void => {
        const error = frame[0] === KIND.error ? errorOf(frame) : null;
        if (error === null && frame[0] !== KIND.result) throw malformed('an item as the answer to a call');
        this.finish(exchange);
        if (error === null) resolve(frame[2]);
        else reject(error);
      };
      const exchange = this.open(KIND.call, request, { onFrame, onFailure: reject }, options.signal);
    });
  }

  stream(request: CallRequest, options: ChannelCallOptions = {}): AsyncIterable<unknown> {
    return {
      [Symbol.asyncIterator]: () =>
        new ItemStream({
          open: (waiter) => this.open(KIND.stream, request, waiter, options.signal),
          finish: (exchange) => {
            this.finish(exchange);
          },
          credit: ({ id }, items) => {
            this.link.send([KIND.credit, id, items]);
          },
          cancel: (exchange) => {
            this.abandon(exchange);
          },
        }),
    };
  }

  /** @throws {ForgeError} CONTRACT_UNSERIALIZABLE, CAPACITY_FRAME_TOO_LARGE, unless it has to wait for room. */
  post(request: CallRequest): void {
    const send = (): void => {
      this.link.send(requestFrame(KIND.post, 0, request, request.timeoutMs));
    };
    if (this.hasRoom) send();
    else if (this.waiting.length < MAX_WAITING_POSTS) this.waiting.push(send);
  }

  close(): Promise<void> {
    this.link.end(new ForgeError('CANCELLED', `the channel to ${this.address} was closed`), true);
    return this.link.closed;
  }

  onFrame(frame: Frame): void {
    const [kind, id] = frame;
    switch (kind) {
      case KIND.result:
      case KIND.error:
      case KIND.chunk:
      case KIND.end:
        // Answers to calls that were given up come too late.
        this.underWay.get(id)?.waiter.onFrame(frame);
        return;
      case KIND.bye:
        this.link.end(this.lostReason(errorOf(frame).message), false);
        return;
      case KIND.ping:
        this.link.send([KIND.pong, 0]);
        return;
      case KIND.pong:
        return;
      default:
        throw malformed(`a frame of kind ${kind} to a caller`);
    }
  }

  onRoom(): void {
    while (this.link.hasRoom && this.waiting.length > 0) {
      try {
        this.waiting.shift()!();
      } catch {
        // A post that can't travel; its sender has gone on.
      }
    }
  }

  onEnd(reason: ForgeError): void {
    this.waiting.length = 0;
    for (const exchange of [...this.underWay.values()]) this.fail(exchange, reason);
    this.tellLost(reason);
  }

  lostReason(why: string): ForgeError {
    return new ForgeError('TRANSIENT_REPLICA_LOST', `${this.address} was lost: ${why}`, {
      address: this.address,
      why,
    });
  }

  private open(
    kind: typeof KIND.call | typeof KIND.stream,
    request: CallRequest,
    waiter: Waiter,
    signal: AbortSignal | undefined,
  ): Exchange {
    const exchange: Exchange = { id: this.nextId++, request, waiter, isSent: false };
    const refusal = this.link.endReason ?? (signal?.aborted ? cancelled(request) : null);
    if (refusal !== null) {
      waiter.onFailure(refusal);
      return exchange;
    }
    this.underWay.set(exchange.id, exchange);
    const { timeoutMs } = request;
    if (timeoutMs !== undefined) {
      exchange.deadline = this.deadlines.set(timeoutMs, () => {
        this.abandon(exchange, timedOut(request));
      });
    }
    if (signal !== undefined) {
      exchange.signal = signal;
      exchange.onAbort = () => {
        this.abandon(exchange, cancelled(request));
      };
      signal.addEventListener('abort', exchange.onAbort, { once: true });
    }
    if (this.hasRoom) {
      this.send(kind, exchange, timeoutMs);
    } else {
      const since = performance.now();
      this.waiting.push(() => {
        if (!this.underWay.has(exchange.id)) return;
        const waitedMs = performance.now() - since;
        this.send(kind, exchange, timeoutMs && Math.max(0, timeoutMs - waitedMs));
      });
    }
    return exchange;
  }

  private get hasRoom(): boolean {
    return this.link.hasRoom && this.waiting.length === 0;
  }

  private send(
    kind: typeof KIND.call | typeof KIND.stream,
    exchange: Exchange,
    leftMs: number | undefined,
  ): void {
    try {
      this.link.send(requestFrame(kind, exchange.id, exchange.request, leftMs));
      exchange.isSent = true;
    } catch (error) {
      this.fail(exchange, ForgeError.from(error));
    }
  }

  /** Gives a call up on our side and on the other. */
  private abandon(exchange: Exchange, error?: ForgeError): void {
    if (!this.underWay.has(exchange.id)) return;
    if (exchange.isSent) this.link.send([KIND.cancel, exchange.id]);
    if (error === undefined) this.finish(exchange);
    else this.fail(exchange, error);
  }

  private fail(exchange: Exchange, error: ForgeError): void {
    this.finish(exchange);
    exchange.waiter.onFailure(error);
  }

  private finish({ id, deadline, signal, onAbort }: Exchange): void {
    this.underWay.delete(id);
    if (deadline !== undefined) this.deadlines.withdraw(deadline);
    if (onAbort !== undefined) signal?.removeEventListener('abort', onAbort);
  }
}

function cancelled({ actor, endpoint }: CallRequest): ForgeError {
  return new ForgeError('CANCELLED', `the call of ${actor}.${endpoint} was cancelled`, { actor, endpoint });
}

function timedOut({ actor, endpoint, timeoutMs }: CallRequest): ForgeError {
  return new ForgeError('TRANSIENT_TIMEOUT', `${actor}.${endpoint} did not finish within ${timeoutMs} ms`, {
    actor,
    endpoint,
    timeoutMs,
  });
}
