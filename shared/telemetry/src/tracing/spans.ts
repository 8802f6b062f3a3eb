import {
  context,
  createContextKey,
  ROOT_CONTEXT,
  SpanKind,
  SpanStatusCode,
  trace,
  TraceFlags,
  type Attributes,
  type Context,
  type Link,
  type Span,
  type SpanContext,
} from '@opentelemetry/api';
import type { TraceOrigin } from '@forge/contracts';
import { ForgeError } from '@forge/errors';
import { isKept, KEPT } from './kept-spans';
import { randomId, traceparentOf } from './trace-ids';

/**
 * Spans by the OpenTelemetry API: nothing happens unless tracing was started in the process, and nothing outside a
 * trace. Times are in milliseconds since the epoch. In a service the code that runs belongs to a trace until its first
 * `await` (`SyncContextManager`); what comes later names its `parent`.
 */
const tracer = trace.getTracer('@forge');

/** Key, in the context of a span whose ids are known before it, of the context it will have itself. */
export const SELF = createContextKey('forge self');

export interface SpanOptions {
  /** The span or origin it belongs to; left out: whatever the running code belongs to. */
  parent?: Context | undefined;
  kind?: SpanKind;
  attributes?: Attributes;
  links?: Link[];
  startMs?: number;
}

/** The last trace that `traceOf` was asked for: spans recorded together are mostly of one rollout. */
let lastTrace: { traceparent: string; context: Context } | undefined;

/** The trace of a message, for `parent`; undefined outside any trace. */
export function traceOf(traceparent: string | undefined): Context | undefined {
  if (traceparent === undefined) return undefined;
  if (lastTrace?.traceparent !== traceparent)
    lastTrace = { traceparent, context: trace.setSpanContext(ROOT_CONTEXT, spanContextOf(traceparent)) };
  return lastTrace.context;
}

/** Points to the root of another trace. */
export function linkTo(traceparent: string, attributes: Attributes): Link {
  return { context: spanContextOf(traceparent), attributes };
}

/** The last active span that was asked for: all completions of a group are scored for the same span. */
let lastActive: { span: SpanContext; traceparent: string } | undefined;

/** W3C trace context of the running code; undefined outside any trace, and in one that is not sampled. */
export function activeTraceparent(): string | undefined {
  const span = trace.getSpanContext(context.active());
  if (span === undefined || (span.traceFlags & TraceFlags.SAMPLED) === 0) return undefined;
  if (lastActive?.span !== span)
    lastActive = { span, traceparent: traceparentOf(span, isKept(span) ? 'kept' : 'exported') };
  return lastActive.traceparent;
}

/** Context of the things that belong to a span, for `parent`; undefined outside any trace. */
export function within(span: Span | null): Context | undefined {
  return span === null ? undefined : trace.setSpan(ROOT_CONTEXT, span);
}

/** Does `work` within a span that ends with it; outside a trace it is just done. */
export function inSpan<T>(
  name: string,
  options: SpanOptions,
  work: (span: Span | null) => Promise<T>,
): Promise<T> {
  const parent = options.parent ?? context.active();
  if (trace.getSpanContext(parent) === undefined) return work(null);
  return inOpenSpan(start(name, options, parent), parent, work);
}

/** Context of the things that belong to a span recorded once it is over, under that `parent` and `as` this. */
export function spanToBe(parent: Context): Context {
  const { traceId, traceFlags, traceState } = trace.getSpanContext(parent)!;
  const self = { traceId, spanId: randomId(8), traceFlags, ...(traceState && { traceState }) };
  return trace.setSpanContext(ROOT_CONTEXT, self);
}

interface RecordedSpanOptions extends SpanOptions {
  /** Context of the things that belonged to it before it was recorded. */
  as?: Context | undefined;
  /** Undefined: it did not fail. */
  error?: unknown;
  events?: readonly { name: string; atMs: number }[];
}

/** Records a span of work that is over. */
export function recordSpan(
  name: string,
  { error, as, events, ...options }: RecordedSpanOptions,
  endMs: number,
): void {
  const parent = options.parent ?? context.active();
  if (trace.getSpanContext(parent) === undefined) return;
  const within = as === undefined ? parent : parent.setValue(SELF, trace.getSpanContext(as));
  const span = start(name, options, within);
  for (const { name: what, atMs } of events ?? []) span.addEvent(what, atMs);
  if (error !== undefined) markFailed(span, error);
  span.end(endMs);
}

/**
 * The root span of a rollout, once the rollout is over: from its admission to now. The process that sees the end tells
 * it, so that it comes however many processes have died on the way.
 */
export function endRollout(
  origin: TraceOrigin | undefined,
  attributes: Attributes,
  error?: { code: string; message: string },
): void {
  if (origin === undefined) return;
  // The clock of the process that admitted it is another machine's.
  const startMs = Math.min(origin.admittedAtMs, Date.now());
  const span = startRoot('rollout', origin.traceparent, { startMs, attributes });
  if (error !== undefined) fail(span, error);
  span.end();
}

/** Does `work` within the root span of a trace whose ids are known before; undefined: without a trace. */
export function inRootSpan<T>(
  name: string,
  traceparent: string | undefined,
  options: Omit<SpanOptions, 'parent'>,
  work: (span: Span | null) => Promise<T>,
): Promise<T> {
  if (traceparent === undefined) return work(null);
  return inOpenSpan(startRoot(name, traceparent, options), ROOT_CONTEXT, work);
}

/** Does `work` within a span that fails and ends with it. */
async function inOpenSpan<T>(span: Span, parent: Context, work: (span: Span) => Promise<T>): Promise<T> {
  try {
    return await context.with(trace.setSpan(parent, span), work, undefined, span);
  } catch (error) {
    markFailed(span, error);
    throw error;
  } finally {
    span.end();
  }
}

/** Runs code whose calls belong to a trace, until its first `await`; undefined: as it is. */
export function inTrace<T>(parent: Context | undefined, code: () => T): T {
  return parent === undefined ? code() : context.with(parent, code);
}

/** Trace that the running code belongs to. */
export function activeTrace(): Context {
  return context.active();
}

/** Fields of a log entry about what belongs to a span or an origin. */
export function logIds(of: Span | TraceOrigin | null | undefined): { trace_id?: string; span_id?: string } {
  if (of === null || of === undefined) return {};
  const { traceId, spanId } = 'traceparent' in of ? spanContextOf(of.traceparent) : of.spanContext();
  return { trace_id: traceId, span_id: spanId };
}

/** Runs code whose calls belong to no trace, although its caller does. */
export function outsideTraces<T>(code: () => T): T {
  return context.with(ROOT_CONTEXT, code);
}

/** Marks a span as failed, with the code of the error. */
function markFailed(span: Span, thrown: unknown): void {
  fail(span, ForgeError.from(thrown));
}

function fail(span: Span, { code, message }: { code: string; message: string }): void {
  span.setAttribute('error.type', code);
  span.setStatus({ code: SpanStatusCode.ERROR, message });
}

function start(name: string, { kind, attributes, links, startMs }: SpanOptions, parent: Context): Span {
  return tracer.startSpan(
    name,
    {
      ...(kind !== undefined && { kind }),
      ...(attributes !== undefined && { attributes }),
      ...(links !== undefined && { links }),
      ...(startMs !== undefined && { startTime: startMs }),
    },
    parent,
  );
}

function startRoot(name: string, traceparent: string, options: SpanOptions): Span {
  const self = trace.getSpanContext(traceOf(traceparent)!);
  return start(name, options, ROOT_CONTEXT.setValue(SELF, self));
}

function spanContextOf(traceparent: string): SpanContext {
  const [, traceId = '', spanId = '', flags = ''] = traceparent.split('-');
  const traceFlags = TraceFlags.SAMPLED;
  return { traceId, spanId, traceFlags, isRemote: true, ...(flags === '03' && { traceState: KEPT }) };
}
