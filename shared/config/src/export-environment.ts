/** Where a signal of OpenTelemetry goes, as its standard variables say. */
export interface ExportEnvironment {
  /** `OTEL_<SIGNAL>_EXPORTER`; where it is unset `otlp` with an endpoint, nothing without. */
  exporters: readonly ('otlp' | 'console')[];
  /** `OTEL_EXPORTER_OTLP_<SIGNAL>_PROTOCOL`, `OTEL_EXPORTER_OTLP_PROTOCOL` */
  protocol: 'grpc' | 'http/protobuf' | 'http/json';
  /** `OTEL_EXPORTER_OTLP_<SIGNAL>_ENDPOINT`, `OTEL_EXPORTER_OTLP_ENDPOINT`; for messages. */
  endpoint: string;
}

/** A rollout has about ten spans, and JSON costs a fraction of what protobuf does in JavaScript. */
const DEFAULT_PROTOCOL = { METRICS: 'http/protobuf', TRACES: 'http/json' } as const;
const PROTOCOLS = ['grpc', 'http/protobuf', 'http/json'] as const;

/** Values that make no sense count as unset, as the standard has it. */
export function exportEnvironment(signal: 'METRICS' | 'TRACES'): ExportEnvironment {
  const endpoint = otelVariable(`EXPORTER_OTLP_${signal}_ENDPOINT`, 'EXPORTER_OTLP_ENDPOINT');
  const named = otelVariable(`${signal}_EXPORTER`)?.split(',') ?? (endpoint === undefined ? [] : ['otlp']);
  const protocol = otelVariable(`EXPORTER_OTLP_${signal}_PROTOCOL`, 'EXPORTER_OTLP_PROTOCOL');
  return {
    exporters: isOtelDisabled() ? [] : (['otlp', 'console'] as const).filter((name) => named.includes(name)),
    protocol: PROTOCOLS.find((known) => known === protocol) ?? DEFAULT_PROTOCOL[signal],
    endpoint: endpoint ?? 'http://localhost:4318',
  };
}

/** `OTEL_SDK_DISABLED` */
export function isOtelDisabled(): boolean {
  return otelVariable('SDK_DISABLED')?.toLowerCase() === 'true';
}

/** The first of these `OTEL_` variables that is set to something. */
export function otelVariable(...names: string[]): string | undefined {
  return names
    .map((name) => process.env[`OTEL_${name}`]?.trim())
    .find((value) => value !== undefined && value !== '');
}
