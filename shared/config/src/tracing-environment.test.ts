import { tracingEnvironment } from './tracing-environment';

const before = { ...process.env };
afterEach(() => {
  process.env = { ...before };
});

describe('tracingEnvironment', () => {
  it.each([
    [{}, []],
    [{ OTEL_EXPORTER_OTLP_TRACES_ENDPOINT: 'http://c:4318/v1/traces' }, ['otlp']],
    [{ OTEL_EXPORTER_OTLP_METRICS_ENDPOINT: 'http://c:4318/v1/metrics' }, []],
    [{ OTEL_EXPORTER_OTLP_ENDPOINT: 'http://c:4318', OTEL_TRACES_EXPORTER: 'none' }, []],
    [{ OTEL_EXPORTER_OTLP_ENDPOINT: '' }, []],
    [{ OTEL_EXPORTER_OTLP_ENDPOINT: 'http://c:4318', OTEL_SDK_DISABLED: 'TRUE' }, []],
  ])('exports nothing unless told to (%#)', (environment, exporters) => {
    process.env = environment;
    expect(tracingEnvironment().exporters).toEqual(exporters);
  });

  it.each([
    [undefined, undefined, null],
    ['always_on', undefined, 1],
    ['parentbased_always_off', undefined, 0],
    ['traceidratio', '0.25', 0.25],
    ['parentbased_traceidratio', '7', 1],
    ['jaeger_remote', '0.5', null],
  ])('takes %s with argument %s as a share of %s', (OTEL_TRACES_SAMPLER, OTEL_TRACES_SAMPLER_ARG, share) => {
    process.env = Object.fromEntries(
      Object.entries({ OTEL_TRACES_SAMPLER, OTEL_TRACES_SAMPLER_ARG }).filter(([, value]) => value),
    );
    expect(tracingEnvironment().sampleRatio).toBe(share);
  });

  it('limits spans as the variables say, those of spans first', () => {
    process.env = {
      OTEL_ATTRIBUTE_COUNT_LIMIT: '5',
      OTEL_SPAN_ATTRIBUTE_COUNT_LIMIT: '7',
      OTEL_ATTRIBUTE_VALUE_LENGTH_LIMIT: '9',
      OTEL_SPAN_EVENT_COUNT_LIMIT: 'many',
      OTEL_SPAN_LINK_COUNT_LIMIT: '0',
      OTEL_EVENT_ATTRIBUTE_COUNT_LIMIT: '3',
    };
    expect(tracingEnvironment().limits).toEqual({
      ...{ attributes: 7, valueLength: 9, events: 128, links: 0, eventAttributes: 3, linkAttributes: 5 },
    });
    process.env = { OTEL_LINK_ATTRIBUTE_COUNT_LIMIT: '2' };
    expect(tracingEnvironment().limits).toMatchObject({ eventAttributes: 128, linkAttributes: 2 });
    process.env = {};
    expect(tracingEnvironment()).toMatchObject({
      protocol: 'http/json',
      limits: {
        ...{ attributes: 128, valueLength: Infinity, events: 128, links: 65_536 },
        ...{ eventAttributes: 128, linkAttributes: 128 },
      },
    });
  });
});
