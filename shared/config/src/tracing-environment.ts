/** What the standard variables of OpenTelemetry say about traces that its SDK does not read by itself. */
export interface TracingEnvironment {
  /** `OTEL_TRACES_EXPORTER`; nothing where it and the endpoint are unset. */
  exporters: readonly ('otlp' | 'console')[];
  /** `OTEL_EXPORTER_OTLP_TRACES_PROTOCOL`, `OTEL_EXPORTER_OTLP_PROTOCOL` */
  protocol: 'grpc' | 'http/protobuf' | 'http/json';
  /** Where spans go, for messages. */
  endpoint: string;
  /** `OTEL_TRACES_SAMPLER` and its argument as a share of traces; null where it is unset. */
  sampleRatio: number | null;
  /** `OTEL_SDK_DISABLED` */
  isDisabled: boolean;
  /** Whether `OTEL_SPAN_LINK_COUNT_LIMIT` is set. */
  limitsLinks: boolean;
}

const PROTOCOLS = ['grpc', 'http/protobuf', 'http/json'] as const;

/** Values that make no sense count as unset, as the standard has it. */
export function tracingEnvironment(): TracingEnvironment {
  const { env } = process;
  const set = (...names: string[]): string | undefined =>
    names.map((name) => env[`OTEL_${name}`]?.trim()).find((value) => value !== undefined && value !== '');
  const endpoint = set('EXPORTER_OTLP_TRACES_ENDPOINT', 'EXPORTER_OTLP_ENDPOINT');
  const named = set('TRACES_EXPORTER')?.split(',') ?? (endpoint === undefined ? [] : ['otlp']);
  const protocol = set('EXPORTER_OTLP_TRACES_PROTOCOL', 'EXPORTER_OTLP_PROTOCOL');
  return {
    exporters: (['otlp', 'console'] as const).filter((name) => named.includes(name)),
    protocol: PROTOCOLS.find((known) => known === protocol) ?? 'http/protobuf',
    endpoint: endpoint ?? 'http://localhost:4318',
    sampleRatio: sampleRatioOf(set('TRACES_SAMPLER'), Number(set('TRACES_SAMPLER_ARG') ?? 1)),
    isDisabled: set('SDK_DISABLED')?.toLowerCase() === 'true',
    limitsLinks: set('SPAN_LINK_COUNT_LIMIT') !== undefined,
  };
}

function sampleRatioOf(sampler: string | undefined, argument: number): number | null {
  switch (sampler?.replace('parentbased_', '')) {
    case 'always_on':
      return 1;
    case 'always_off':
      return 0;
    case 'traceidratio':
      return argument >= 0 && argument <= 1 ? argument : 1;
    default:
      return null;
  }
}
