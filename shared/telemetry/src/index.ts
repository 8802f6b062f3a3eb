export { METRICS, isMetric, type MetricDefinition, type MetricEmitter } from './metrics';
export { createLogger, type Logger, type LoggerOptions } from './logger';
