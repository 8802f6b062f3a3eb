export { METRICS, isMetric, type MetricDefinition, type MetricEmitter } from './metrics';
export { createLogger, prettyLine, type Logger, type LoggerOptions } from './logger';
