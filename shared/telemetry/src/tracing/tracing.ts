import { createRequire } from 'node:module';
import type { ExportSettings, TracingOptions } from './start-tracing';

const load = createRequire(__filename);

/** Registers the OpenTelemetry SDK in this process, which is loaded only then; see `start-tracing`. */
export function startTracing(options: TracingOptions): Promise<() => Promise<void>> {
  return sdk().startTracing(options);
}

/** Why spans can't be exported; see `start-tracing`. */
export function exportProblem(settings: ExportSettings): Promise<string | null> {
  return settings.exporters.length === 0 ? Promise.resolve(null) : sdk().exportProblem(settings);
}

function sdk(): typeof import('./start-tracing.js') {
  return load('./start-tracing') as typeof import('./start-tracing.js');
}
