import { OTLPExporterBase } from '@opentelemetry/otlp-exporter-base';
import {
  convertLegacyHttpOptions,
  createOtlpHttpExportDelegate,
} from '@opentelemetry/otlp-exporter-base/node-http';
import { JsonTraceSerializer, TraceExporterMetricsHelper } from '@opentelemetry/otlp-transformer';
import type { ReadableSpan, SpanExporter } from '@opentelemetry/sdk-trace-base';
import { otlpJson } from './otlp-json';
import type { TracedSpan } from './traced-span';

const CONTENT = { 'Content-Type': 'application/json' };

/** The SDK's exporter for OTLP over HTTP in JSON, with our serialiser in place of its own. */
export function jsonExporter(): SpanExporter {
  const serializer = {
    ...JsonTraceSerializer,
    serializeRequest: (spans: ReadableSpan[]) => Buffer.from(otlpJson(spans as TracedSpan[])),
  };
  const options = convertLegacyHttpOptions({}, 'TRACES', 'v1/traces', CONTENT);
  return new OTLPExporterBase(
    createOtlpHttpExportDelegate(
      ...([
        options,
        serializer,
        'otlp_http_json_span_exporter',
        TraceExporterMetricsHelper,
        undefined,
      ] as const),
    ),
  );
}
