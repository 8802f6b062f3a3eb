import { context, ROOT_CONTEXT, SpanKind, SpanStatusCode, trace } from '@opentelemetry/api';
import { suppressTracing } from '@opentelemetry/core';
import { resourceFromAttributes } from '@opentelemetry/resources';
import { InMemorySpanExporter, SimpleSpanProcessor, type ReadableSpan } from '@opentelemetry/sdk-trace-base';
import { SyncContextManager } from './sync-context-manager';
import { ForgeTracerProvider } from './tracer';
import type { SpanLimits } from './traced-span';

const T = 1_700_000_000_000;
const exporter = new InMemorySpanExporter();

const narrow = { attributes: 2, valueLength: 3, events: 1, links: 1, eventAttributes: 2, linkAttributes: 1 };

function tracerOf(sampleRatio: number, limits: SpanLimits = narrow) {
  return new ForgeTracerProvider({
    resource: resourceFromAttributes({}),
    limits,
    processors: [new SimpleSpanProcessor(exporter)],
    sampleRatio,
  }).getTracer('test');
}

const tracer = tracerOf(1);
const last = (): ReadableSpan => exporter.getFinishedSpans().at(-1)!;

beforeAll(() => context.setGlobalContextManager(new SyncContextManager()));
beforeEach(() => exporter.reset());

describe('ForgeTracerProvider', () => {
  it('keeps what the limits allow, and counts the rest', () => {
    const links = [1, 2].map((digit) => ({
      context: { traceId: `${digit}`.repeat(32), spanId: `${digit}`.repeat(16), traceFlags: 1 },
    }));
    const span = tracer.startSpan('s', { links, attributes: { text: 'abcd', list: ['wxyz', 'ab'] } });
    span.setAttributes({ text: 'efgh', more: 1 }).addEvent('first').addEvent('second');
    span.end();
    expect(last()).toMatchObject({
      attributes: { text: 'efg', list: ['wxy', 'ab'] },
      links: [links[1]],
      events: [{ name: 'second' }],
      droppedAttributesCount: 1,
      droppedEventsCount: 1,
      droppedLinksCount: 1,
    });
  });

  it('keeps as many attributes of an event and of a link as the limits allow, as long as they may be', () => {
    const context = { traceId: '1'.repeat(32), spanId: '1'.repeat(16), traceFlags: 1 };
    const attributes = { unset: undefined, text: 'abcd', list: ['wxyz', 'ab'], more: 1 };
    const span = tracer.startSpan('s', { links: [{ context, attributes }] });
    span.addEvent('e', attributes);
    span.end();
    expect(last().events[0]).toMatchObject({
      attributes: { text: 'abc', list: ['wxy', 'ab'] },
      droppedAttributesCount: 1,
    });
    expect(last().events[0]!.attributes).not.toHaveProperty('more');
    expect(last().links).toEqual([{ context, attributes: { text: 'abc' }, droppedAttributesCount: 2 }]);
  });

  it('changes nothing of a span that has ended, and ends it once', () => {
    const span = tracer.startSpan('s', { startTime: T });
    span.setStatus({ code: SpanStatusCode.OK }).setStatus({ code: SpanStatusCode.ERROR });
    expect(span.isRecording()).toBe(true);
    span.end(T + 1.5);
    span
      .setAttribute('late', 1)
      .addEvent('late')
      .updateName('late')
      .setStatus({ code: SpanStatusCode.ERROR });
    span.end(T + 9);
    expect(span.isRecording()).toBe(false);
    expect(exporter.getFinishedSpans()).toHaveLength(1);
    expect(last()).toMatchObject({
      name: 's',
      attributes: {},
      events: [],
      status: { code: SpanStatusCode.OK },
      startTime: [T / 1000, 0],
      endTime: [T / 1000, 1_500_000],
      duration: [0, 1_500_000],
    });
  });

  it('takes times in all the forms there are, and no end before the start', () => {
    const at = new Date(T + 5);
    tracer
      .startSpan('s', { startTime: at })
      .addEvent('e', [T / 1000 + 1, 2000])
      .end(at.getTime() - 9);
    expect(last()).toMatchObject({ startTime: [T / 1000, 5_000_000], endTime: [T / 1000, 5_000_000] });
    // Times are exact to the microsecond.
    const [seconds, nanos] = last().events[0]!.time;
    expect([seconds, Math.round(nanos / 1000)]).toEqual([T / 1000 + 1, 2]);
    tracer.startSpan('s', { startTime: performance.now() }).end();
    const [startedS] = last().startTime;
    expect(Math.abs(startedS - Date.now() / 1000)).toBeLessThan(60);
  });

  it('tells of exceptions as the conventions have it', () => {
    const span = tracerOf(1, { ...narrow, eventAttributes: 3, valueLength: Infinity }).startSpan('s');
    span.recordException(new TypeError('no'), T);
    span.end();
    const { name, attributes } = last().events[0]!;
    expect([name, attributes]).toEqual([
      'exception',
      {
        'exception.type': 'TypeError',
        'exception.message': 'no',
        'exception.stacktrace': expect.any(String),
      },
    ]);
  });

  it('lets code run within a span, whose parts are its children', () => {
    const result = tracer.startActiveSpan('outer', (outer) => {
      tracer.startActiveSpan('inner', { attributes: { a: 1 } }, (inner) => inner.end());
      tracer.startActiveSpan('apart', {}, ROOT_CONTEXT, (apart) => apart.end());
      tracer.startSpan('root', { root: true }).end();
      outer.end();
      return 'done';
    });
    expect(result).toBe('done');
    const [inner, apart, root, outer] = exporter.getFinishedSpans();
    expect(inner).toMatchObject({ name: 'inner', attributes: { a: 1 } });
    expect(inner!.parentSpanContext?.spanId).toBe(outer!.spanContext().spanId);
    expect(inner!.spanContext().traceId).toBe(outer!.spanContext().traceId);
    expect([apart, root, outer].map((span) => span!.parentSpanContext)).toEqual(Array(3).fill(undefined));
    expect(new Set(exporter.getFinishedSpans().map((span) => span.spanContext().spanId)).size).toBe(4);
  });

  it('records what the beginning of the trace has decided', () => {
    const quiet = tracerOf(0).startSpan('quiet');
    const within = trace.setSpan(ROOT_CONTEXT, quiet);
    expect(tracer.startSpan('child', {}, within).spanContext().traceId).toBe(quiet.spanContext().traceId);
    expect([quiet, tracer.startSpan('child', {}, within)].map((span) => span.isRecording())).toEqual([
      false,
      false,
    ]);
    // A call that nothing traced makes, and an exporter's own.
    expect(tracer.startSpan('call', { kind: SpanKind.CLIENT }).spanContext().traceId).toMatch(/^0+$/);
    expect(tracer.startSpan('s', {}, suppressTracing(ROOT_CONTEXT)).isRecording()).toBe(false);
  });
});
