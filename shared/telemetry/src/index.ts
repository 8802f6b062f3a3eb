export { ActivityClock } from './activity-clock';
export { METRICS, isMetric, type MetricDefinition, type MetricEmitter } from './metrics';
export { createLogger, type Logger, type LoggerOptions } from './logger';
export { mergeStates, Reduce, stateOf, valueOf } from './recording/metric-state';
export { MetricCollector } from './recording/metric-collector';
export { metricCollector, oncePer, recordMetric, recordSystemMetric, timed } from './recording/record-metric';
export { Metering } from './metering/metering';
export type { MeteringOptions, MeteringSettings, StartedMetering } from './metering/start-metering';
export { INSTRUMENTS, type Metered } from './metering/instruments';
