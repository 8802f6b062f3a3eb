import type { Transferable } from 'node:worker_threads';
import { ForgeError, type WireError } from '@forge/errors';

export type CallRequest =
  { kind: 'call'; id: number; method: string; argument: unknown } | { kind: 'cancel'; id: number };

export type CallReply =
  { kind: 'result'; id: number; result: unknown } | { kind: 'error'; id: number; error: WireError };

/** The methods a worker answers: one argument, one promise; the signal fires when the caller cancels. */
export type WorkerApi = Record<string, (argument: never, signal: AbortSignal) => Promise<unknown>>;

export interface WorkerCallOptions {
  /** Memory to hand over to the worker instead of copying it. */
  transfer?: readonly Transferable[];
  /** Cancels in the worker; the call settles as the worker says. */
  signal?: AbortSignal;
}

/** Sends a message to the other side. */
type Post<Message> = (message: Message, transfer?: readonly Transferable[]) => void;

/** Calls to a worker, in a thread or a process, that wait for their replies. */
export class Calls<Api extends WorkerApi> {
  private readonly pending = new Map<
    number,
    { resolve: (value: unknown) => void; reject: (error: ForgeError) => void }
  >();
  private nextId = 0;
  private failure: ForgeError | null = null;

  constructor(private readonly post: Post<CallRequest>) {}

  /** Calls that have no reply yet. */
  get size(): number {
    return this.pending.size;
  }

  call<M extends keyof Api & string>(
    method: M,
    argument: Parameters<Api[M]>[0],
    { transfer = [], signal }: WorkerCallOptions = {},
  ): Promise<Awaited<ReturnType<Api[M]>>> {
    return new Promise((resolve, reject) => {
      if (this.failure !== null) {
        reject(this.failure);
        return;
      }
      const id = this.nextId++;
      const cancel = (): void => this.post({ kind: 'cancel', id });
      const settled = (): void => signal?.removeEventListener('abort', cancel);
      this.pending.set(id, {
        resolve: (value) => {
          settled();
          resolve(value as never);
        },
        reject: (error) => {
          settled();
          reject(error);
        },
      });
      try {
        this.post({ kind: 'call', id, method, argument }, transfer);
        if (signal?.aborted === true) cancel();
        else signal?.addEventListener('abort', cancel, { once: true });
      } catch (cause) {
        this.pending.delete(id);
        const reason = cause instanceof Error ? cause.message : String(cause);
        const message = `${method}: the argument can't be sent to the worker: ${reason}`;
        reject(new ForgeError('BUG_INVARIANT', message, { method }, { cause }));
      }
    });
  }

  /** Settles the call that a reply answers; its error, if it is one. */
  take(reply: CallReply): ForgeError | null {
    const call = this.pending.get(reply.id);
    this.pending.delete(reply.id);
    if (reply.kind === 'result') {
      call?.resolve(reply.result);
      return null;
    }
    const error = ForgeError.fromWire(reply.error);
    call?.reject(error);
    return error;
  }

  /** Rejects calls under way and later ones. */
  fail(error: ForgeError): void {
    this.failure ??= error;
    for (const { reject } of this.pending.values()) reject(this.failure);
    this.pending.clear();
  }
}

/** Value that a handler returns to hand memory over to the caller instead of copying it. */
export class Transfer<T> {
  constructor(
    readonly value: T,
    readonly list: readonly Transferable[],
  ) {}
}

/** Takes requests and answers them by the handlers. */
export function answerCalls(handlers: WorkerApi, post: Post<CallReply>): (request: CallRequest) => void {
  const underWay = new Map<number, AbortController>();
  const answer = async (method: string, argument: unknown, signal: AbortSignal): Promise<unknown> => {
    const handler = handlers[method] as
      ((argument: unknown, signal: AbortSignal) => Promise<unknown>) | undefined;
    if (handler !== undefined) return handler(argument, signal);
    throw new ForgeError('CONTRACT_UNKNOWN_ENDPOINT', `the worker has no method ${method}`, { method });
  };
  return (request) => {
    const { id } = request;
    if (request.kind === 'cancel') {
      underWay.get(id)?.abort();
      return;
    }
    const controller = new AbortController();
    underWay.set(id, controller);
    void answer(request.method, request.argument, controller.signal)
      .finally(() => underWay.delete(id))
      .then((result) => {
        if (result instanceof Transfer) post({ kind: 'result', id, result: result.value }, result.list);
        else post({ kind: 'result', id, result });
      })
      .catch((error: unknown) => post({ kind: 'error', id, error: ForgeError.from(error).toWire() }));
  };
}
