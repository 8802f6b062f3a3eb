export { ActivityClock } from './activity-clock';
export { METRICS, isMetric, type MetricDefinition, type MetricEmitter } from './metrics';
export { createLogger, type Logger, type LoggerOptions } from './logger';
export {
  spansOfRequest,
  spansOfTrace,
  type RecordedSpan,
  type SpanAttributes,
} from './tracing/recorded-span';
export {
  activeTrace,
  activeTraceparent,
  endRollout,
  inRootSpan,
  inSpan,
  inTrace,
  linkTo,
  logIds,
  outsideTraces,
  recordSpan,
  spanToBe,
  traceOf,
  within,
  type SpanOptions,
} from './tracing/spans';
export { traceIds } from './tracing/trace-ids';
export { KEEP_REASON } from './tracing/kept-spans';
export { RunTraces, type TraceRatios } from './tracing/run-traces';
export { exportProblem, startTracing } from './tracing/tracing';
export type { ExportSettings, TracingOptions } from './tracing/start-tracing';
export { SpanKind, type Span } from '@opentelemetry/api';
export type { Context } from '@opentelemetry/api';
export { mergeStates, Reduce, stateOf, valueOf } from './recording/metric-state';
export { MetricCollector } from './recording/metric-collector';
export { metricCollector, oncePer, recordMetric, recordSystemMetric, timed } from './recording/record-metric';
export { Metering } from './metering/metering';
export type { MeteringOptions, MeteringSettings, StartedMetering } from './metering/start-metering';
export { INSTRUMENTS, type Metered } from './metering/instruments';
