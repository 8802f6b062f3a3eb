import { exportEnvironment, otelVariable, type ExportEnvironment } from './export-environment';

/** Standard variables of OpenTelemetry about metrics that its SDK does not read by itself. */
export interface MeteringEnvironment extends ExportEnvironment {
  /** `OTEL_METRIC_EXPORT_INTERVAL` */
  intervalMs: number;
  /** `OTEL_METRIC_EXPORT_TIMEOUT`, never longer than the interval. */
  timeoutMs: number;
}

export function meteringEnvironment(): MeteringEnvironment {
  const intervalMs = milliseconds('METRIC_EXPORT_INTERVAL', 60_000);
  return {
    ...exportEnvironment('METRICS'),
    intervalMs,
    timeoutMs: Math.min(intervalMs, milliseconds('METRIC_EXPORT_TIMEOUT', 30_000)),
  };
}

function milliseconds(name: string, unset: number): number {
  const value = Number(otelVariable(name));
  return value > 0 && value <= 2 ** 31 - 1 ? value : unset;
}
