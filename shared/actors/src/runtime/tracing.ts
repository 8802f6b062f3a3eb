import { ForgeError } from '@forge/errors';
import {
  context,
  INVALID_TRACEID,
  propagation,
  ROOT_CONTEXT,
  SpanKind,
  SpanStatusCode,
  trace,
  type Context,
  type Span,
} from '@opentelemetry/api';

/**
 * Spans of calls, by the OpenTelemetry API: nothing happens unless an SDK is registered in the process. A call leaves
 * as a CLIENT span and is answered within a SERVER span of the same trace.
 */
const tracer = trace.getTracer('@forge/actors');

const CLIENT = { kind: SpanKind.CLIENT };

type Headers = Readonly<Record<string, string>>;

/** The trace that running code belongs to. */
export function activeTrace(): Context {
  return context.active();
}

/** A call that an actor answers. */
export class ClientSpan {
  private constructor(
    private readonly span: Span,
    private readonly parent: Context,
  ) {}

  /** Null where nothing is traced. */
  static start(parent: Context, actor: string, endpoint: string): ClientSpan | null {
    const span = tracer.startSpan(`${actor}/${endpoint}`, CLIENT, parent);
    if (span.spanContext().traceId === INVALID_TRACEID) return null;
    span.setAttributes(attributesOf(actor, endpoint));
    return new ClientSpan(span, parent);
  }

  /** `traceparent` and what belongs to it. */
  get headers(): Headers {
    const headers: Record<string, string> = {};
    propagation.inject(trace.setSpan(this.parent, this.span), headers);
    return headers;
  }

  /** Ends with the answer. */
  async until<T>(answer: Promise<T>): Promise<T> {
    try {
      return await answer;
    } catch (error) {
      mark(this.span, error);
      throw error;
    } finally {
      this.span.end();
    }
  }

  /** Ends with the iteration. */
  over<T>(items: AsyncIterator<T>): AsyncIterator<T> {
    const { span } = this;
    return {
      next: async () => {
        try {
          const item = await items.next();
          if (item.done === true) span.end();
          return item;
        } catch (error) {
          mark(span, error);
          span.end();
          throw error;
        }
      },
      // Ends at once, also while a `next` is waited for.
      return: async () => {
        if (span.isRecording()) span.end();
        return (await items.return?.()) ?? { done: true, value: undefined };
      },
    };
  }

  end(): void {
    this.span.end();
  }
}

/** The part of a call's trace that is an endpoint. */
export class ServerSpan {
  private constructor(
    private readonly span: Span | null,
    private readonly within: Context,
  ) {}

  private static readonly NONE = new ServerSpan(null, ROOT_CONTEXT);

  /** Starts the span of a call; a call without a trace in its headers has none. */
  static start(actor: string, endpoint: string, headers: Headers | undefined): ServerSpan {
    if (headers === undefined) return ServerSpan.NONE;
    const parent = propagation.extract(ROOT_CONTEXT, headers);
    if (trace.getSpanContext(parent) === undefined) return ServerSpan.NONE;
    const options = { kind: SpanKind.SERVER, attributes: attributesOf(actor, endpoint) };
    const span = tracer.startSpan(`${actor}/${endpoint}`, options, parent);
    return new ServerSpan(span, trace.setSpan(parent, span));
  }

  /** Code whose own calls belong to the trace. */
  run<T>(code: () => T): T {
    return this.span === null ? code() : context.with(this.within, code);
  }

  end(): void {
    this.span?.end();
  }

  fail(error: unknown): void {
    if (this.span === null) return;
    mark(this.span, error);
    this.span.end();
  }
}

function attributesOf(actor: string, endpoint: string): Headers {
  return { 'rpc.system': 'forge', 'rpc.service': actor, 'rpc.method': endpoint };
}

function mark(span: Span, thrown: unknown): void {
  const { code, message } = ForgeError.from(thrown);
  span.setAttribute('error.type', code);
  span.setStatus({ code: SpanStatusCode.ERROR, message });
}
