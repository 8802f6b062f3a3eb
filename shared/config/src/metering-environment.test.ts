import { meteringEnvironment } from './metering-environment';

const before = { ...process.env };
afterEach(() => {
  process.env = { ...before };
});

describe('meteringEnvironment', () => {
  it.each([
    [{}, []],
    [{ OTEL_EXPORTER_OTLP_ENDPOINT: 'http://c:4318' }, ['otlp']],
    [{ OTEL_EXPORTER_OTLP_METRICS_ENDPOINT: 'http://c:4318/v1/metrics' }, ['otlp']],
    [{ OTEL_EXPORTER_OTLP_ENDPOINT: 'http://c:4318', OTEL_METRICS_EXPORTER: 'none' }, []],
    [{ OTEL_METRICS_EXPORTER: 'otlp,console,prometheus' }, ['otlp', 'console']],
    [{ OTEL_EXPORTER_OTLP_ENDPOINT: 'http://c:4318', OTEL_SDK_DISABLED: 'true' }, []],
  ])('exports nothing unless told to (%#)', (environment, exporters) => {
    process.env = environment;
    expect(meteringEnvironment().exporters).toEqual(exporters);
  });

  it('takes what makes no sense for unset', () => {
    process.env = {
      OTEL_METRIC_EXPORT_INTERVAL: 'soon',
      OTEL_METRIC_EXPORT_TIMEOUT: '90000',
      OTEL_EXPORTER_OTLP_PROTOCOL: 'smoke',
    };
    expect(meteringEnvironment()).toEqual({
      exporters: [],
      protocol: 'http/protobuf',
      endpoint: 'http://localhost:4318',
      intervalMs: 60_000,
      timeoutMs: 60_000,
    });
  });
});
