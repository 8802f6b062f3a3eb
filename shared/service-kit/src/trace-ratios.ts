import type { Recipe, TracingEnvironment } from '@forge/config';
import type { TraceRatios } from '@forge/telemetry';

/** Which rollouts are traced: kept as the recipe says; exported, where there is a collector, as the environment does. */
export function traceRatios(
  { tracing }: Pick<Recipe, 'tracing'>,
  environment: TracingEnvironment,
): TraceRatios {
  const { isDisabled, exporters, sampleRatio } = environment;
  if (isDisabled) return { kept: 0, exported: 0 };
  return { kept: tracing.sampleRatio, exported: exporters.length === 0 ? 0 : (sampleRatio ?? 1) };
}
