import { ExportResultCode, type ExportResult } from '@opentelemetry/core';
import type { ReadableSpan, SpanExporter } from '@opentelemetry/sdk-trace-base';
import { otlpJson } from './otlp-json';
import type { TracedSpan } from './traced-span';

/**
 * Hands finished spans to the run they belong to, as lines of the OTLP file format: each is one export request.
 *
 * @see https://opentelemetry.io/docs/specs/otel/protocol/file-exporter/
 */
export class RunExporter implements SpanExporter {
  constructor(private readonly save: (line: string) => Promise<void>) {}

  export(spans: ReadableSpan[], done: (result: ExportResult) => void): void {
    this.save(otlpJson(spans as TracedSpan[])).then(
      () => done({ code: ExportResultCode.SUCCESS }),
      (error: unknown) => done({ code: ExportResultCode.FAILED, error: error as Error }),
    );
  }

  shutdown(): Promise<void> {
    return Promise.resolve();
  }
}
