import type { ActorBase, ActorClass } from '../actor/actor-base';
import { currentOwner } from '../actor/call-context';
import { endpointsOf } from '../actor/endpoint';
import { DeployedReplicas, type ReplicaDirectory } from './deployed-replicas';
import { serviceHandle, type Service } from './service';
import { ServiceCore } from './service-core';
import { serviceConfig, type ServiceOptions } from './service-options';

/** Options for the calls of a service that others run. */
export type ConnectOptions = Pick<ServiceOptions, 'router' | 'maxConcurrent' | 'maxQueued' | 'timeoutMs'>;

/**
 * The handle of a service that other processes run, wherever its replicas are and however they come and go. It can be
 * called at once: calls wait for the first replica until their deadline. An exception of an endpoint concerns its
 * caller alone, since a replica's owner decides what becomes of it. `shutdown` lets go of the service and leaves it
 * running.
 *
 * @throws {ForgeError} CONFIG_INVALID naming the option.
 */
export function connectService<A extends ActorBase, Args extends unknown[]>(
  name: string,
  actorClass: ActorClass<A, Args>,
  directory: ReplicaDirectory,
  options: ConnectOptions = {},
): Service<A> {
  const config = serviceConfig({ router: 'least-loaded', ...options, name, failurePolicy: 'keep' }, name);
  const clock = (): number => performance.now();
  let replicas: DeployedReplicas | null = null;
  const core = new ServiceCore(
    config,
    endpointsOf(actorClass),
    (events, observer) => (replicas = new DeployedReplicas(config, directory, events, observer, clock)),
    currentOwner(),
    () => undefined,
    clock,
  );
  (replicas as DeployedReplicas | null)?.open();
  return serviceHandle<A>(core);
}
