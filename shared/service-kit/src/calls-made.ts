import type { Service } from '@forge/actors';
import type { CallsMade } from '@forge/broker';

/** What a caller of a service has seen of each of its replicas so far. */
export function callsMade(service: Pick<Service, 'name' | 'replicas' | 'metrics'>): CallsMade[] {
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
