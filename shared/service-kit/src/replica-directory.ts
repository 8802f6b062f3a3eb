import type { ReplicaDirectory } from '@forge/actors';
import type { Registry } from '@forge/broker';

/** The ready replicas of a service of the run, as `connectService` looks for them. */
export function replicaDirectory(registry: Pick<Registry, 'all'>, service: string): ReplicaDirectory {
  return {
    list: async () =>
      (await registry.all(service)).flatMap(({ replica, pid, isReady, isAlive, answers }) =>
        isReady && answers !== null ? [{ name: replica, pid, isAlive, ...answers }] : [],
      ),
  };
}
