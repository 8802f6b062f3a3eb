import type { ActorProcess } from '../process/actor-process';
import { POSTED } from '../runtime/actor-cell';
import { activeTrace, ClientSpan } from '../runtime/tracing';
import type { CallRequest } from '../wire/call-request';
import { shortId } from './short-id';

/** Options of a call; each adverb takes the ones that make sense for it. */
export interface CallOptions {
  /** Time until the caller gives up with TRANSIENT_TIMEOUT. */
  timeoutMs?: number;
  /** Cancels the call, and the endpoint through its own signal. */
  signal?: AbortSignal;
  /** Id of the sticky session that the call belongs to. */
  session?: string;
}

export interface Message {
  readonly endpoint: string;
  readonly args: readonly unknown[];
  readonly options: CallOptions;
  /** The same for every attempt. */
  readonly key: string;
  /** Trace of the code that sends the message; other code may run when its turn comes. */
  readonly trace: ReturnType<typeof activeTrace>;
}

const keyPrefix = shortId();
let nextKey = 0;

export function message(endpoint: string, args: readonly unknown[], options: CallOptions = {}): Message {
  const key = `${keyPrefix}-${(nextKey++).toString(36)}`;
  return { endpoint, args, options, key, trace: activeTrace() };
}

/** One actor, wherever it lives. */
export class ActorRef {
  /** The actor's own name. */
  private readonly name: string;

  constructor(
    readonly process: Pick<ActorProcess, 'channel'>,
    readonly id: string,
  ) {
    this.name = id.replace(/-[\w-]{12}$/, '');
  }

  call(sent: Message): Promise<unknown> {
    const span = this.startSpan(sent);
    const answer = this.process.channel.call(this.request(sent, span), sent.options);
    return span === null ? answer : span.until(answer);
  }

  stream(sent: Message): AsyncIterable<unknown> {
    return {
      [Symbol.asyncIterator]: () => {
        const span = this.startSpan(sent);
        const items = this.process.channel.stream(this.request(sent, span), sent.options);
        const iterator = items[Symbol.asyncIterator]();
        return span === null ? iterator : span.over(iterator);
      },
    };
  }

  post(sent: Message): void {
    const span = this.startSpan(sent);
    const request = this.request(sent, span);
    this.process.channel.post({ ...request, headers: { ...request.headers, [POSTED]: '1' } });
    span?.end();
  }

  private startSpan({ trace, endpoint }: Message): ClientSpan | null {
    return ClientSpan.start(trace, this.name, endpoint);
  }

  private request({ endpoint, args, options, key }: Message, span: ClientSpan | null): CallRequest {
    const { timeoutMs, session } = options;
    const request: CallRequest = { actor: this.id, endpoint, args, key };
    if (timeoutMs !== undefined) request.timeoutMs = timeoutMs;
    if (session !== undefined) request.session = session;
    if (span !== null) request.headers = span.headers;
    return request;
  }
}
