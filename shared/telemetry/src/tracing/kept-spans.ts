import { createTraceState, SpanStatusCode, type Context, type SpanContext } from '@opentelemetry/api';
import type { ReadableSpan, Span, SpanProcessor } from '@opentelemetry/sdk-trace-base';

/** Trace state of spans that are kept with the run. */
export const KEPT = createTraceState('forge=kept');

/** Attribute with the reason why a span is kept with the run although its trace is not. */
export const KEEP_REASON = 'forge.kept';

/** Whether the trace of a span is kept with the run. */
export function isKept({ traceState }: SpanContext): boolean {
  // A trace state that came with a call is another object.
  return traceState === KEPT || traceState?.get('forge') === 'kept';
}

/** Passes on the spans that are kept with the run: all of kept traces, of others the failed and those with a reason. */
export class KeptSpans implements SpanProcessor {
  constructor(private readonly next: SpanProcessor) {}

  onStart(span: Span, parent: Context): void {
    this.next.onStart(span, parent);
  }

  onEnd(span: ReadableSpan): void {
    const { status, attributes } = span;
    if (
      isKept(span.spanContext()) ||
      status.code === SpanStatusCode.ERROR ||
      attributes[KEEP_REASON] !== undefined
    )
      this.next.onEnd(span);
  }

  forceFlush(): Promise<void> {
    return this.next.forceFlush();
  }

  shutdown(): Promise<void> {
    return this.next.shutdown();
  }
}
