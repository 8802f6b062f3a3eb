export { METRICS, isMetric, type MetricDefinition, type MetricEmitter } from './metrics';
export { createLogger, type Logger, type LoggerOptions } from './logger';
export {
  spansOfRequest,
  spansOfTrace,
  type RecordedSpan,
  type SpanAttributes,
} from './tracing/recorded-span';
export {
  activeSpan,
  activeTraceparent,
  endRollout,
  inOneSpan,
  inRootSpan,
  inSpan,
  linkTo,
  markFailed,
  outsideTraces,
  recordSpan,
  traceOf,
  type SpanOptions,
} from './tracing/spans';
export {
  isSampled,
  isWithinRatio,
  sampledOrigin,
  traceIds,
  traceparentOf,
  type TraceIds,
} from './tracing/trace-ids';
export { RunTraces } from './tracing/run-traces';
export { exportProblem, startTracing } from './tracing/tracing';
export type { ExportSettings, TracingOptions } from './tracing/start-tracing';
export { SpanKind, type Span } from '@opentelemetry/api';
