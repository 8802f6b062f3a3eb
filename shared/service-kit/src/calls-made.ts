import type { Service } from '@forge/actors';
import type { CallsMade } from '@forge/contracts';

/** The handle of a service, as far as its calls are reported. */
export type CalledService = Pick<Service, 'name' | 'replicas' | 'metrics'>;

/** Calls to each replica of a service so far, as their caller has seen them. */
export function callsMade(service: CalledService): CallsMade[] {
  const names = new Map(service.replicas().map(({ index, name }) => [index, name]));
  return service.metrics().replicas.map((replica) => ({
    service: service.name,
    replica: names.get(replica.index) ?? String(replica.index),
    requests: replica.totalRequests,
    failed: replica.failedRequests,
    p50Ms: replica.latencyP50Ms,
    p99Ms: replica.latencyP99Ms,
  }));
}
