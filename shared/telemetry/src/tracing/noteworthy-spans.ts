import { SpanStatusCode, TraceFlags, type Context } from '@opentelemetry/api';
import type { ReadableSpan, Span, SpanProcessor } from '@opentelemetry/sdk-trace-base';
import { KEEP_REASON } from './keep-reason';

const HELD_SPANS = 1024;
const KEPT_TRACES = 1024;

/**
 * Passes on the spans of sampled traces, and of the others those of a trace in which one failed or was marked by
 * `KEEP_REASON`: the latest spans of traces that are not sampled are held back until it shows. It sees the spans of its
 * own process only.
 */
export class NoteworthySpans implements SpanProcessor {
  private readonly held = new Map<string, ReadableSpan[]>();
  private heldSpans = 0;
  private readonly kept = new Set<string>();

  constructor(private readonly next: readonly SpanProcessor[]) {}

  onStart(span: Span, parent: Context): void {
    for (const processor of this.next) processor.onStart(span, parent);
  }

  onEnd(span: ReadableSpan): void {
    const { traceId, traceFlags } = span.spanContext();
    if ((traceFlags & TraceFlags.SAMPLED) !== 0) {
      this.pass(span);
      return;
    }
    if (!this.kept.has(traceId)) {
      if (!isNoteworthy(span)) {
        this.hold(traceId, span);
        return;
      }
      this.keep(traceId);
    }
    this.pass(asSampled(span));
  }

  async forceFlush(): Promise<void> {
    await Promise.all(this.next.map((processor) => processor.forceFlush()));
  }

  async shutdown(): Promise<void> {
    await Promise.all(this.next.map((processor) => processor.shutdown()));
  }

  private pass(span: ReadableSpan): void {
    for (const processor of this.next) processor.onEnd(span);
  }

  private hold(traceId: string, span: ReadableSpan): void {
    const spans = this.held.get(traceId);
    if (spans === undefined) this.held.set(traceId, [span]);
    else spans.push(span);
    this.heldSpans += 1;
    for (const [oldest, others] of this.held) {
      if (this.heldSpans <= HELD_SPANS || oldest === traceId) return;
      this.release(oldest, others);
    }
  }

  private keep(traceId: string): void {
    this.kept.add(traceId);
    for (const oldest of this.kept) {
      if (this.kept.size <= KEPT_TRACES) break;
      this.kept.delete(oldest);
    }
    const spans = this.held.get(traceId) ?? [];
    this.release(traceId, spans);
    for (const span of spans) this.pass(asSampled(span));
  }

  private release(traceId: string, spans: readonly ReadableSpan[]): void {
    if (this.held.delete(traceId)) this.heldSpans -= spans.length;
  }
}

function isNoteworthy({ status, attributes }: ReadableSpan): boolean {
  return status.code === SpanStatusCode.ERROR || attributes[KEEP_REASON] !== undefined;
}

/** What exports looks at the flag. */
function asSampled(span: ReadableSpan): ReadableSpan {
  const sampled = { ...span.spanContext(), traceFlags: TraceFlags.SAMPLED };
  return Object.create(span, { spanContext: { value: () => sampled } }) as ReadableSpan;
}
