import type { Dispatcher } from './dispatcher';
import { LatencyHistogram } from './latency-histogram';
import type { Replica } from './replica';
import type { Replicas } from './replicas';

interface CallMetrics {
  readonly totalRequests: number;
  readonly successfulRequests: number;
  /** Calls that failed by any error; calls given up in the queue included. */
  readonly failedRequests: number;
  /** Calls accepted per second, over the last minute. */
  readonly requestRate: number;
  /** Time from acceptance to the end, time in the queue included. */
  readonly latencyMeanMs: number;
  readonly latencyP50Ms: number;
  readonly latencyP99Ms: number;
  readonly activeRequests: number;
  readonly queueDepth: number;
  /** Active requests over possible ones. */
  readonly utilization: number;
  readonly restarts: number;
}

export interface ReplicaMetricsSummary extends CallMetrics {
  readonly index: number;
  readonly sessions: number;
}

export interface ServiceMetrics {
  readonly service: CallMetrics & {
    readonly totalReplicas: number;
    readonly healthyReplicas: number;
    readonly totalSessions: number;
    /** Sessions that went on with another replica so far. */
    readonly sessionMoves: number;
    /** Calls that wait while no replica is up. */
    readonly waitingRequests: number;
  };
  readonly replicas: readonly ReplicaMetricsSummary[];
}

/** Counts of the replicas that are there, and their sums. */
export function summarize(
  { all, healthy }: Pick<Replicas, 'all' | 'healthy'>,
  { sessions, waitingCalls }: Pick<Dispatcher, 'sessions' | 'waitingCalls'>,
): ServiceMetrics {
  return {
    service: {
      ...callMetrics(all),
      totalReplicas: all.length,
      healthyReplicas: healthy.length,
      totalSessions: sessions.size,
      sessionMoves: sessions.moves,
      waitingRequests: waitingCalls,
    },
    replicas: all.map((replica) => ({
      index: replica.index,
      sessions: replica.sessions,
      ...callMetrics([replica]),
    })),
  };
}

function callMetrics(replicas: readonly Replica[]): CallMetrics {
  const latency = new LatencyHistogram();
  for (const { metrics } of replicas) latency.addAll(metrics.latency);
  const sum = (of: (replica: Replica) => number): number =>
    replicas.reduce((total, replica) => total + of(replica), 0);
  const activeRequests = sum(({ active }) => active);
  const capacity = sum(({ limits }) => limits.maxConcurrent);
  return {
    totalRequests: sum(({ metrics }) => metrics.total),
    successfulRequests: sum(({ metrics }) => metrics.successful),
    failedRequests: sum(({ metrics }) => metrics.failed),
    requestRate: sum(({ metrics }) => metrics.rate()),
    latencyMeanMs: latency.meanMs,
    latencyP50Ms: latency.quantile(0.5),
    latencyP99Ms: latency.quantile(0.99),
    activeRequests,
    queueDepth: sum(({ queued }) => queued),
    utilization: capacity === 0 ? 0 : activeRequests / capacity,
    restarts: sum(({ budget }) => budget.total),
  };
}
