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
import { traceparentOf } from './trace-ids';

/**
 * Spans by the OpenTelemetry API: nothing happens unless tracing was started in the process, and nothing outside a trace.
 * Times are in milliseconds since the epoch. In a service the code that runs belongs to a trace until its first `await`
 * (`SyncContextManager`); what comes later names its `parent`.
 */
const tracer = trace.getTracer('@forge');

/** In the context of a root span: its own context, as was decided when the trace began. */
export const ROOT = createContextKey('forge root');

export interface SpanOptions {
  /** The span or origin it belongs to; left out: whatever the running code belongs to. */
  parent?: Context | undefined;
  kind?: SpanKind;
  attributes?: Attributes;
  links?: Link[];
  startMs?: number;
}

/** The trace of a message, for `parent`; undefined outside any trace. */
export function traceOf(traceparent: string | undefined): Context | undefined {
  return traceparent === undefined
    ? undefined
    : trace.setSpanContext(ROOT_CONTEXT, spanContextOf(traceparent));
}

/** Points to the root of another trace. */
export function linkTo(traceparent: string): Link {
  return { context: spanContextOf(traceparent) };
}

/** W3C trace context of the running code; undefined outside any trace, and in one that is not sampled. */
export function activeTraceparent(): string | undefined {
  const span = trace.getSpanContext(context.active());
  if (span === undefined || (span.traceFlags & TraceFlags.SAMPLED) === 0) return undefined;
  return traceparentOf(span, isKept(span) ? 'kept' : 'exported');
}

/** What belongs to a span, for `parent`; undefined outside any trace. */
export function within(span: Span | null): Context | undefined {
  return span === null ? undefined : trace.setSpan(ROOT_CONTEXT, span);
}

/** Does `work` within a span that ends with it, or when `endMs` says; outside a trace it is just done. */
export function inSpan<T>(
  name: string,
  options: SpanOptions,
  work: (span: Span | null) => Promise<T>,
  endMs?: () => number | undefined,
): Promise<T> {
  const parent = options.parent ?? context.active();
  if (trace.getSpanContext(parent) === undefined) return work(null);
  const span = start(name, options, parent);
  return inOpenSpan(span, parent, work, () => span.end(endMs?.()));
}

/** Does works that overlap within one span, from the start of the first to the end of the last, or when `endMs` says. */
export function inOneSpan(
  name: string,
  parent: Context,
  endMs?: () => number | undefined,
): <T>(work: (span: Span) => Promise<T>) => Promise<T> {
  let underWay = 0;
  let span: Span;
  return (work) => {
    if (underWay === 0) span = start(name, {}, parent);
    underWay += 1;
    return inOpenSpan(span, parent, work, () => {
      underWay -= 1;
      if (underWay === 0) span.end(endMs?.());
    });
  };
}

/** A span of what is over; undefined as `error`: it did not fail. What `within` records is a part of it. */
export function recordSpan(
  name: string,
  { error, ...options }: SpanOptions & { error?: unknown },
  endMs: number,
  within?: () => void,
): void {
  const parent = options.parent ?? context.active();
  if (trace.getSpanContext(parent) === undefined) return;
  const span = start(name, options, parent);
  if (within !== undefined) context.with(trace.setSpan(parent, span), within);
  if (error !== undefined) markFailed(span, error);
  span.end(endMs);
}

/**
 * The root span of a rollout, once the rollout is over: from its admission to now. It is told by whoever sees the end, so
 * that it comes however many processes have died on the way.
 */
export function endRollout(
  origin: TraceOrigin | undefined,
  attributes: Attributes,
  error?: { code: string; message: string },
): void {
  if (origin === undefined) return;
  // The clock of whoever admitted it is another machine's.
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

/** Does `work` within a span that fails with it, then `end`. */
async function inOpenSpan<T>(
  span: Span,
  parent: Context,
  work: (span: Span) => Promise<T>,
  end = (): void => span.end(),
): Promise<T> {
  try {
    return await context.with(trace.setSpan(parent, span), work, undefined, span);
  } catch (error) {
    markFailed(span, error);
    throw error;
  } finally {
    end();
  }
}

/** Runs code whose calls belong to a trace, until its first `await`; undefined: as it is. */
export function inTrace<T>(parent: Context | undefined, code: () => T): T {
  return parent === undefined ? code() : context.with(parent, code);
}

/** What the running code belongs to. */
export function activeTrace(): Context {
  return context.active();
}

/** Fields of a log entry about what belongs to a span or an origin. */
export function logIds(of: Span | TraceOrigin | null | undefined): { trace_id?: string; span_id?: string } {
  if (of === null || of === undefined) return {};
  const { traceId, spanId } = 'traceparent' in of ? spanContextOf(of.traceparent) : of.spanContext();
  return { trace_id: traceId, span_id: spanId };
}

/** Runs code whose calls belong to no trace, although what asked for it does. */
export function outsideTraces<T>(code: () => T): T {
  return context.with(ROOT_CONTEXT, code);
}

/** Marks a span as failed, with the code of the error. */
export function markFailed(span: Span, thrown: unknown): void {
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
  return start(name, options, ROOT_CONTEXT.setValue(ROOT, spanContextOf(traceparent)));
}

function spanContextOf(traceparent: string): SpanContext {
  const [, traceId = '', spanId = '', flags = ''] = traceparent.split('-');
  const traceFlags = TraceFlags.SAMPLED;
  return { traceId, spanId, traceFlags, isRemote: true, ...(flags === '03' && { traceState: KEPT }) };
}
