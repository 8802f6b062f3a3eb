/** What the standard variables of OpenTelemetry say about metrics that its SDK does not read by itself. */
export interface MeteringEnvironment {
  /** `OTEL_METRICS_EXPORTER`; where it is unset `otlp` with an endpoint, nothing without. */
  exporters: readonly ('otlp' | 'console')[];
  /** `OTEL_EXPORTER_OTLP_METRICS_PROTOCOL`, `OTEL_EXPORTER_OTLP_PROTOCOL` */
  protocol: 'grpc' | 'http/protobuf' | 'http/json';
  /** Where metrics go, for messages. */
  endpoint: string;
  /** `OTEL_METRIC_EXPORT_INTERVAL` */
  intervalMs: number;
  /** `OTEL_METRIC_EXPORT_TIMEOUT`, never longer than the interval. */
  timeoutMs: number;
}

const PROTOCOLS = ['grpc', 'http/protobuf', 'http/json'] as const;

/** Values that make no sense count as unset, as the standard has it. */
export function meteringEnvironment(): MeteringEnvironment {
  const { env } = process;
  const set = (...names: string[]): string | undefined =>
    names.map((name) => env[`OTEL_${name}`]?.trim()).find((value) => value !== undefined && value !== '');
  const milliseconds = (name: string, unset: number): number => {
    const value = Number(set(name));
    return value > 0 && value <= 2 ** 31 - 1 ? value : unset;
  };
  const endpoint = set('EXPORTER_OTLP_METRICS_ENDPOINT', 'EXPORTER_OTLP_ENDPOINT');
  const isDisabled = set('SDK_DISABLED')?.toLowerCase() === 'true';
  const named = set('METRICS_EXPORTER')?.split(',') ?? (endpoint === undefined ? [] : ['otlp']);
  const protocol = set('EXPORTER_OTLP_METRICS_PROTOCOL', 'EXPORTER_OTLP_PROTOCOL');
  const intervalMs = milliseconds('METRIC_EXPORT_INTERVAL', 60_000);
  return {
    exporters: isDisabled ? [] : (['otlp', 'console'] as const).filter((name) => named.includes(name)),
    protocol: PROTOCOLS.find((known) => known === protocol) ?? 'http/protobuf',
    endpoint: endpoint ?? 'http://localhost:4318',
    intervalMs,
    timeoutMs: Math.min(intervalMs, milliseconds('METRIC_EXPORT_TIMEOUT', 30_000)),
  };
}
