import { randomUUID } from 'node:crypto';
import { POSTED } from './actor-cell';
import type { ActorProcess } from './actor-process';
import { traceHooks } from './trace-hooks';
import type { CallRequest } from './transport';

/** How a call is to be made; each adverb takes the ones that make sense for it. */
export interface CallOptions {
  /** Until the caller gives up with TRANSIENT_TIMEOUT. */
  timeoutMs?: number;
  /** Cancels the call, and the endpoint through its own signal. */
  signal?: AbortSignal;
  /** The sticky session it belongs to, by its id. */
  session?: string;
}

export interface Message {
  readonly endpoint: string;
  readonly args: readonly unknown[];
  readonly options: CallOptions;
  /** The same for every attempt. */
  readonly key: string;
}

const keyPrefix = randomUUID();
let nextKey = 0;

export function message(endpoint: string, args: readonly unknown[], options: CallOptions = {}): Message {
  return { endpoint, args, options, key: `${keyPrefix}-${(nextKey++).toString(36)}` };
}

/** One actor, wherever it lives. */
export class ActorRef {
  constructor(
    readonly process: Pick<ActorProcess, 'channel'>,
    readonly id: string,
  ) {}

  call(sent: Message): Promise<unknown> {
    return this.process.channel.call(this.request(sent), sent.options);
  }

  stream(sent: Message): AsyncIterable<unknown> {
    return this.process.channel.stream(this.request(sent), sent.options);
  }

  post(sent: Message): void {
    const request = this.request(sent);
    this.process.channel.post({ ...request, headers: { ...request.headers, [POSTED]: '1' } });
  }

  private request({ endpoint, args, options, key }: Message): CallRequest {
    const { timeoutMs, session } = options;
    const headers = traceHooks().inject();
    const request: CallRequest = { actor: this.id, endpoint, args, key };
    if (timeoutMs !== undefined) request.timeoutMs = timeoutMs;
    if (session !== undefined) request.session = session;
    if (headers !== undefined) request.headers = headers;
    return request;
  }
}
