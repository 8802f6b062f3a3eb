import type { ReplicaDirectory } from '@forge/actors';
import type { Registry } from '@forge/broker';

/** The ready replicas of a service of the run, as `connectService` looks for them. */
export function replicaDirectory(registry: Pick<Registry, 'list'>, service: string): ReplicaDirectory {
  return {
    list: async () =>
      (await registry.list(service)).flatMap(({ replica, pid, isReady, answers }) =>
        isReady && answers !== null ? [{ name: replica, pid, ...answers }] : [],
      ),
  };
}
