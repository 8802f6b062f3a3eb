import { SpanKind, SpanStatusCode } from '@opentelemetry/api';
import { JsonTraceSerializer } from '@opentelemetry/otlp-transformer';
import { resourceFromAttributes } from '@opentelemetry/resources';
import {
  BasicTracerProvider,
  InMemorySpanExporter,
  SimpleSpanProcessor,
} from '@opentelemetry/sdk-trace-base';
import { otlpJson } from './otlp-json';
import { spansOfRequest } from './recorded-span';

const T = 1_700_000_000_000;
const exporter = new InMemorySpanExporter();
const provider = new BasicTracerProvider({
  resource: resourceFromAttributes({ 'service.name': 'forge-policy', 'service.instance.id': '"0"' }),
  spanProcessors: [new SimpleSpanProcessor(exporter)],
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
    const links = [{ context: parent.spanContext() }];
    tracer
      .startSpan('"child"', { startTime: [1_700_000_000, 5], attributes, links })
      .addEvent('chunk', { tokens: 7 }, T + 1)
      .addEvent('bare', T + 2)
      .end([1_700_000_000, 987_654_321]);
    parent.end(T + 9);
    const spans = exporter.getFinishedSpans();
    const theirs = Buffer.from(JsonTraceSerializer.serializeRequest(spans)!).toString();
    const ours = spansOfRequest(otlpJson(spans));
    expect(ours).toEqual(spansOfRequest(theirs));
    expect(ours.map(({ startMs, endMs, error }) => [startMs, endMs, error])).toEqual([
      [T + 0.000005, T + 987.654321, null],
      [T, T + 9, 'it\tbroke'],
    ]);
    expect(ours[0]).toMatchObject({ attributes, replica: '"0"' });
    expect(spansOfRequest(otlpJson([]))).toEqual([]);
  });
});
