import type { ExportSettings, TracingOptions } from './start-tracing';

/** Registers the OpenTelemetry SDK in this process, which is loaded only then; see `start-tracing`. */
export async function startTracing(options: TracingOptions): Promise<() => Promise<void>> {
  return (await import('./start-tracing.js')).startTracing(options);
}

/** Reason why spans can't be exported; see `start-tracing`. */
export async function exportProblem(settings: ExportSettings): Promise<string | null> {
  if (settings.exporters.length === 0) return null;
  return (await import('./start-tracing.js')).exportProblem(settings);
}
