import { within } from '@forge/errors';
import { context, diag, DiagLogLevel, propagation, trace } from '@opentelemetry/api';
import { ExportResultCode, setGlobalErrorHandler, W3CTraceContextPropagator } from '@opentelemetry/core';
import { detectResources, envDetector, resourceFromAttributes } from '@opentelemetry/resources';
import {
  BatchSpanProcessor,
  ConsoleSpanExporter,
  type SpanExporter,
  type SpanProcessor,
} from '@opentelemetry/sdk-trace-base';
import { KeptSpans } from './kept-spans';
import { RunExporter } from './run-exporter';
import { SyncContextManager } from './sync-context-manager';
import { ForgeTracerProvider } from './tracer';
import type { SpanLimits } from './traced-span';

/** Destination of the spans, as the standard variables have it. */
export interface ExportSettings {
  exporters: readonly ('otlp' | 'console')[];
  protocol: 'grpc' | 'http/protobuf' | 'http/json';
  endpoint: string;
  limits: SpanLimits;
}

export interface TracingOptions {
  service: string;
  replica: string;
  runId: string;
  /** Share of the traces that begin elsewhere than with a rollout or a step, in a user's script say. */
  sampleRatio: number;
  settings: ExportSettings;
  /** Takes finished spans for the run: a line of the OTLP file format. */
  save: ((line: string) => Promise<void>) | null;
  /** Hears once that spans can't be exported; nothing else happens then. */
  warn: (message: string) => void;
}

/** Interval short enough to know what a killed process was doing, and long enough to cost little. */
const SAVE_INTERVAL_MS = 500;
/** Spans of one line at most. */
const SPANS_PER_LINE = 64;
/** Longest wait for a collector that does not answer. */
const FLUSH_MS = 2_000;
const NO_ANSWER = 'no answer';

/**
 * Registers the OpenTelemetry SDK in this process. Exporters, batches, limits and resources follow the standard
 * variables, which the SDK reads itself.
 *
 * @returns a function that sends the rest, to be called before the process ends.
 */
export async function startTracing(options: TracingOptions): Promise<() => Promise<void>> {
  const { service, replica, runId, sampleRatio, settings, save } = options;
  const lost = warnOnce(options);
  const processors: SpanProcessor[] = [];
  for (const name of settings.exporters)
    processors.push(new BatchSpanProcessor(await exporterOf(name, settings.protocol)));
  if (save !== null) {
    const batches = { scheduledDelayMillis: SAVE_INTERVAL_MS, maxExportBatchSize: SPANS_PER_LINE };
    processors.push(new KeptSpans(new BatchSpanProcessor(new RunExporter(save), batches)));
  }
  const ours = resourceFromAttributes({
    'service.name': `forge-${service}`,
    'service.instance.id': replica,
    'forge.run.id': runId,
  });
  const provider = new ForgeTracerProvider({
    resource: ours.merge(detectResources({ detectors: [envDetector] })),
    limits: settings.limits,
    processors,
    sampleRatio,
  });
  trace.setGlobalTracerProvider(provider);
  context.setGlobalContextManager(new SyncContextManager());
  propagation.setGlobalPropagator(new W3CTraceContextPropagator());

  return async () => {
    await within(FLUSH_MS, provider.shutdown(), () => {
      throw new Error(NO_ANSWER);
    }).catch(lost);
  };
}

/** Warns once of a failure inside the SDK, which goes no further; failures of metrics are not told apart. */
function warnOnce({ warn, settings }: TracingOptions): (error: unknown) => void {
  let isSaid = false;
  const say = (reason: string): void => {
    if (isSaid) return;
    isSaid = true;
    warn(
      `spans or metrics are lost, the run goes on without: ${reason} (OTLP endpoint: ${settings.endpoint})`,
    );
  };
  const lost = (error: unknown): void => say(error instanceof Error ? error.message : JSON.stringify(error));
  setGlobalErrorHandler(lost);
  const quiet = (): void => undefined;
  const logger = { error: say, warn: say, info: quiet, debug: quiet, verbose: quiet };
  diag.setLogger(logger, { logLevel: DiagLogLevel.WARN, suppressOverrideMessage: true });
  return lost;
}

/** Reason why spans can't be exported, as far as sending none shows; null when they can, or shall not be. */
export async function exportProblem({
  exporters,
  protocol,
  endpoint,
}: ExportSettings): Promise<string | null> {
  if (!exporters.includes('otlp')) return null;
  const exporter = await exporterOf('otlp', protocol);
  const exported = new Promise<string | null>((resolve) => {
    exporter.export([], ({ error, code }) => {
      resolve(code === ExportResultCode.SUCCESS ? null : (error?.message ?? 'refused'));
    });
  });
  const reason = await within(FLUSH_MS, exported, () => NO_ANSWER);
  return reason === null ? null : `${reason} (OTLP endpoint: ${endpoint})`;
}

async function exporterOf(
  name: 'otlp' | 'console',
  protocol: ExportSettings['protocol'],
): Promise<SpanExporter> {
  if (name === 'console') return new ConsoleSpanExporter();
  switch (protocol) {
    case 'grpc':
      return new (await import('@opentelemetry/exporter-trace-otlp-grpc')).OTLPTraceExporter();
    case 'http/json':
      return (await import('./json-exporter.js')).jsonExporter();
    case 'http/protobuf':
      return new (await import('@opentelemetry/exporter-trace-otlp-proto')).OTLPTraceExporter();
  }
}
