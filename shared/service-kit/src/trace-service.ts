import type { SpanLog } from '@forge/broker';
import { tracingEnvironment, type Recipe, type TracingEnvironment } from '@forge/config';
import {
  RunTraces,
  startTracing,
  type Logger,
  type TraceRatios,
  type TracingOptions,
} from '@forge/telemetry';

type Identity = Pick<TracingOptions, 'service' | 'replica' | 'runId'>;

/** Starts tracing in the process of a service, where anything is traced; `stop` sends what is left. */
export async function traceService(
  recipe: Pick<Recipe, 'tracing'>,
  identity: Identity,
  spans: Pick<SpanLog, 'add'>,
  logger: Pick<Logger, 'warn'>,
): Promise<{ traces: RunTraces; stop: () => Promise<void> }> {
  const settings = tracingEnvironment();
  const ratios = traceRatios(recipe, settings);
  const traces = new RunTraces(identity.runId, ratios);
  if (ratios.kept === 0 && ratios.exported === 0) return { traces, stop: () => Promise.resolve() };
  const stop = await startTracing({
    ...{ ...identity, settings, sampleRatio: ratios.exported },
    save: ratios.kept === 0 ? null : (line) => spans.add(line),
    warn: (message) => {
      logger.warn(message);
    },
  });
  return { traces, stop };
}

/** Shares of rollouts traced: kept as the recipe says; exported, where a collector is, as the environment does. */
export function traceRatios(
  { tracing }: Pick<Recipe, 'tracing'>,
  { isDisabled, exporters, sampleRatio }: TracingEnvironment,
): TraceRatios {
  if (isDisabled) return { kept: 0, exported: 0 };
  return { kept: tracing.sampleRatio, exported: exporters.length === 0 ? 0 : (sampleRatio ?? 1) };
}
