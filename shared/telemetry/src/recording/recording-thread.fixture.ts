import { recordMetric } from './record-metric';
import { Reduce } from './metric-state';

/** A thread whose code records, and which ends at once. */
recordMetric('mean', 10);
recordMetric('mean', 20);
recordMetric('sum', 10, Reduce.SUM);
