import {
  context,
  INVALID_SPAN_CONTEXT,
  SpanKind,
  trace,
  TraceFlags,
  type Context,
  type Span,
  type SpanContext,
  type SpanOptions,
  type Tracer,
  type TracerProvider,
} from '@opentelemetry/api';
import { isTracingSuppressed } from '@opentelemetry/core';
import type { Resource } from '@opentelemetry/resources';
import type { SpanProcessor } from '@opentelemetry/sdk-trace-base';
import { SELF } from './spans';
import { isWithinRatio, randomId } from './trace-ids';
import { TracedSpan, type SpanHome, type SpanLimits } from './traced-span';

export interface TracerOptions {
  resource: Resource;
  limits: SpanLimits;
  processors: readonly SpanProcessor[];
  /** Share of the traces that begin elsewhere than with a rollout or a step, in a user's script say. */
  sampleRatio: number;
}

/**
 * Makes spans for the processors and exporters of the SDK, at a fraction of what those of its own tracer cost: there
 * are about ten for each rollout, and a rollout of a small model takes a millisecond.
 */
export class ForgeTracerProvider implements TracerProvider {
  constructor(private readonly options: TracerOptions) {}

  getTracer(name: string, version?: string): Tracer {
    const { resource, limits, processors, sampleRatio } = this.options;
    const scope = { name, ...(version !== undefined && { version }) };
    const ended = (span: TracedSpan): void => {
      for (const processor of processors) processor.onEnd(span);
    };
    return new ForgeTracer({ resource, limits, scope, ended }, sampleRatio);
  }

  async shutdown(): Promise<void> {
    await Promise.all(this.options.processors.map((processor) => processor.shutdown()));
  }
}

class ForgeTracer implements Tracer {
  constructor(
    private readonly home: SpanHome,
    private readonly sampleRatio: number,
  ) {}

  startSpan(name: string, options: SpanOptions = {}, within: Context = context.active()): Span {
    const { kind = SpanKind.INTERNAL, attributes, links, startTime } = options;
    const parent = options.root === true ? undefined : trace.getSpanContext(within);
    const self = this.decide(within, parent, kind);
    if ((self.traceFlags & TraceFlags.SAMPLED) === 0) return trace.wrapSpanContext(self);
    return new TracedSpan(this.home, { name, kind, context: self, parent, attributes, links, startTime });
  }

  startActiveSpan<F extends (span: Span) => unknown>(name: string, ...rest: unknown[]): ReturnType<F> {
    const work = rest.pop() as F;
    const [options, within = context.active()] = rest as [SpanOptions?, Context?];
    const span = this.startSpan(name, options, within);
    return context.with(trace.setSpan(within, span), () => work(span)) as ReturnType<F>;
  }

  /** Ids and fate of a new span: as the beginning of its trace has it. */
  private decide(within: Context, parent: SpanContext | undefined, kind: SpanKind): SpanContext {
    const known = within.getValue(SELF) as SpanContext | undefined;
    if (known !== undefined) return { ...known, isRemote: false };
    if (parent !== undefined) {
      const { traceId, traceFlags, traceState } = parent;
      return { traceId, spanId: randomId(8), traceFlags, ...(traceState && { traceState }) };
    }
    // A call outside any trace (the reports of a service, a batch of calls for many rollouts), and an exporter's.
    if (kind === SpanKind.CLIENT || isTracingSuppressed(within)) return INVALID_SPAN_CONTEXT;
    const traceId = randomId(16);
    const traceFlags = isWithinRatio(traceId, this.sampleRatio) ? TraceFlags.SAMPLED : TraceFlags.NONE;
    return { traceId, spanId: randomId(8), traceFlags };
  }
}
