import type { IncomingMessage, ServerResponse } from 'node:http';
import { metrics } from '@opentelemetry/api';
import { ExportResultCode, type ExportResult } from '@opentelemetry/core';
import { PrometheusExporter } from '@opentelemetry/exporter-prometheus';
import { detectResources, envDetector, resourceFromAttributes } from '@opentelemetry/resources';
import {
  ConsoleMetricExporter,
  MeterProvider,
  PeriodicExportingMetricReader,
  type IMetricReader,
  type PushMetricExporter,
  type ResourceMetrics,
} from '@opentelemetry/sdk-metrics';
import { within } from '@forge/errors';
import { observe, type Metered } from './instruments';

/** Destination of the metrics, as the standard variables have it. */
export interface MeteringSettings {
  exporters: readonly ('otlp' | 'console')[];
  protocol: 'grpc' | 'http/protobuf' | 'http/json';
  endpoint: string;
  intervalMs: number;
  timeoutMs: number;
}

export interface MeteringOptions {
  service: string;
  replica: string;
  runId: string;
  settings: MeteringSettings;
  metered: Metered;
  /** Hears once that metrics can't be sent; nothing else happens then. */
  warn: (message: string) => void;
}

export interface StartedMetering {
  /** Answers a scrape by Prometheus. */
  scrape: (request: IncomingMessage, response: ServerResponse) => void;
  /** Sends the rest. */
  stop: () => Promise<void>;
}

/** Longest wait for a collector that does not answer. */
const FLUSH_MS = 2_000;

/** Registers the metrics SDK of OpenTelemetry in this process; Prometheus and OTLP read the same instruments. */
export async function startMetering(options: MeteringOptions): Promise<StartedMetering> {
  const { service, replica, runId, settings, metered, warn } = options;
  const prometheus = new PrometheusExporter({
    preventServerStart: true,
    // Labels on every series spare queries a look-up in target_info.
    withResourceConstantLabels: /^(service\.name|service\.instance\.id|forge\.run\.id)$/,
  });
  const readers: IMetricReader[] = [prometheus];
  for (const name of settings.exporters) {
    const exporter = new WarningExporter(await exporterOf(name, settings.protocol), (reason) => {
      warn(`metrics are lost, the run goes on without: ${reason} (OTLP endpoint: ${settings.endpoint})`);
    });
    const { intervalMs: exportIntervalMillis, timeoutMs: exportTimeoutMillis } = settings;
    readers.push(new PeriodicExportingMetricReader({ exporter, exportIntervalMillis, exportTimeoutMillis }));
  }
  const ours = resourceFromAttributes({
    'service.name': `forge-${service}`,
    'service.instance.id': replica,
    'forge.run.id': runId,
  });
  const resource = ours.merge(detectResources({ detectors: [envDetector] }));
  const provider = new MeterProvider({ resource, readers });
  metrics.setGlobalMeterProvider(provider);
  observe(provider.getMeter('@forge'), metered);
  return {
    scrape: (request, response) => {
      prometheus.getMetricsRequestHandler(request, response);
    },
    stop: () =>
      within(
        FLUSH_MS,
        provider.shutdown().catch(() => undefined),
        () => undefined,
      ),
  };
}

/** Says once that it can't export, and goes on trying. */
class WarningExporter implements PushMetricExporter {
  private isSaid = false;
  readonly selectAggregationTemporality?: NonNullable<PushMetricExporter['selectAggregationTemporality']>;

  constructor(
    private readonly exporter: PushMetricExporter,
    private readonly warn: (reason: string) => void,
  ) {
    const { selectAggregationTemporality: select } = exporter;
    if (select !== undefined) this.selectAggregationTemporality = select.bind(exporter);
  }

  export(collected: ResourceMetrics, done: (result: ExportResult) => void): void {
    this.exporter.export(collected, ({ code, error }) => {
      if (code === ExportResultCode.FAILED && !this.isSaid) {
        this.isSaid = true;
        this.warn(error?.message ?? 'the export failed');
      }
      done({ code: ExportResultCode.SUCCESS });
    });
  }

  forceFlush(): Promise<void> {
    return this.exporter.forceFlush();
  }

  shutdown(): Promise<void> {
    return this.exporter.shutdown();
  }
}

async function exporterOf(
  name: 'otlp' | 'console',
  protocol: MeteringSettings['protocol'],
): Promise<PushMetricExporter> {
  if (name === 'console') return new ConsoleMetricExporter();
  switch (protocol) {
    case 'grpc':
      return new (await import('@opentelemetry/exporter-metrics-otlp-grpc')).OTLPMetricExporter();
    case 'http/json':
      return new (await import('@opentelemetry/exporter-metrics-otlp-http')).OTLPMetricExporter();
    case 'http/protobuf':
      return new (await import('@opentelemetry/exporter-metrics-otlp-proto')).OTLPMetricExporter();
  }
}
