import { SpanKind, SpanStatusCode } from '@opentelemetry/api';
import { JsonTraceSerializer } from '@opentelemetry/otlp-transformer';
import { resourceFromAttributes } from '@opentelemetry/resources';
import { InMemorySpanExporter, SimpleSpanProcessor } from '@opentelemetry/sdk-trace-base';
import { otlpJson } from './otlp-json';
import { spansOfRequest } from './recorded-span';
import { ForgeTracerProvider } from './tracer';
import type { TracedSpan } from './traced-span';

const T = 1_700_000_000_000;
const exporter = new InMemorySpanExporter();
const provider = new ForgeTracerProvider({
  resource: resourceFromAttributes({ 'service.name': 'forge-policy', 'service.instance.id': '"0"' }),
  limits: {
    ...{ attributes: 128, valueLength: Infinity, events: 2, links: 128 },
    ...{ eventAttributes: 1, linkAttributes: 1 },
  },
  processors: [new SimpleSpanProcessor(exporter)],
  sampleRatio: 1,
});

describe('otlpJson', () => {
  it('says what the SDK says', () => {
    const tracer = provider.getTracer('@forge');
    const attributes = {
      text: 'a "b"\n',
      whole: 3,
      part: 0.25,
      no: false,
      list: ['x', 'y'],
      numbers: [1, 2.5],
    };
    const parent = tracer.startSpan('parent', { startTime: T, kind: SpanKind.CONSUMER });
    parent.setStatus({ code: SpanStatusCode.ERROR, message: 'it\tbroke' });
    const links = [{ context: parent.spanContext(), attributes: { why: 'because', and: 1, so: 2 } }];
    tracer
      .startSpan('"child"', { startTime: [1_700_000_000, 5000], attributes, links })
      .addEvent('lost', T)
      .addEvent('chunk', { tokens: 7, more: 1 }, T + 1)
      .addEvent('bare', T + 2)
      .end([1_700_000_000, 987_654_000]);
    parent.end(T + 9);
    provider.getTracer('other', '1.0').startSpan('third', { startTime: T }).end(T);
    const spans = exporter.getFinishedSpans();
    const request = JSON.parse(Buffer.from(JsonTraceSerializer.serializeRequest(spans)!).toString());
    const ours = otlpJson(spans as TracedSpan[]);
    expect(spansOfRequest(ours)).toEqual(spansOfRequest(JSON.stringify(request)));
    expect(spansOfRequest(ours).map(({ startMs, endMs, error }) => [startMs, endMs, error])).toEqual([
      [T + 0.005, T + 987.654, null],
      [T, T + 9, 'it\tbroke'],
      [T, T, null],
    ]);
    expect(spansOfRequest(ours)[0]).toMatchObject({ attributes, replica: '"0"' });
    const [child] = JSON.parse(ours).resourceSpans[0].scopeSpans[0].spans;
    expect(child).toMatchObject({
      droppedEventsCount: 1,
      events: [{ droppedAttributesCount: 1 }, { name: 'bare' }],
      links: [{ attributes: [{ key: 'why' }], droppedAttributesCount: 2 }],
    });
    expect(spansOfRequest(otlpJson([]))).toEqual([]);
  });
});
