import { ForgeError } from '@forge/errors';
import type { ActorBase, ActorClass } from '../actor/actor-base';
import { currentOwner } from '../actor/call-context';
import { endpointsOf } from '../actor/endpoint';
import { Owner, type Failure, type StopOptions } from '../actor/supervision';
import type { Host } from '../hosts/host';
import { refuseReserved } from '../mesh/endpoint-handles';
import { spawnProcMesh } from '../mesh/proc-mesh';
import type { LaunchedReplica } from './replica';
import { ReplicaSet } from './replica-set';
import { ServiceBase, serviceHandle, type Service } from './service';
import { ServiceCore } from './service-core';
import { serviceConfig, type ServiceConfig, type ServiceOptions } from './service-options';

const running = new Map<string, Service>();

/**
 * Starts replicas of an actor class, each with processes of its own.
 *
 * @throws {ForgeError} what a constructor or `setup` threw (then nothing is left); CONFIG_INVALID naming the option;
 *   CONFLICT_STATE for a name that is taken; CONFIG_ACTOR_UNLOADABLE; CAPACITY_GPUS.
 */
export async function spawnService<A extends ActorBase, Args extends unknown[]>(
  options: ServiceOptions,
  actorClass: ActorClass<A, Args>,
  ...args: Args
): Promise<Service<A>> {
  const config = serviceConfig(options, actorClass.name);
  const { name } = config;
  if (running.has(name))
    throw new ForgeError('CONFLICT_STATE', `a service ${name} is there already`, { service: name });
  const spawner = currentOwner();
  const endpoints = endpointsOf(actorClass);
  refuseReserved(endpoints.keys(), ServiceBase);
  const launch = (index: number, onFailure: (failure: Failure) => void): Promise<LaunchedReplica> =>
    launchReplica(config, index, actorClass as unknown as ActorClass, args, onFailure);
  const stopped = (): void => {
    running.delete(name);
  };
  const clock = (): number => performance.now();
  const core = new ServiceCore(
    config,
    endpoints,
    (events, observer) => new ReplicaSet(config, launch, events, observer, clock),
    spawner,
    stopped,
    clock,
  );
  const service = serviceHandle<A>(core);
  running.set(name, service as Service);
  await core.start();
  return service;
}

/** Rejects what is queued, lets what is under way finish, ends all replicas. */
export async function shutdownService(
  service: Pick<Service, 'shutdown'>,
  options: StopOptions = {},
): Promise<void> {
  await service.shutdown(options);
}

/** The services that this process has spawned and that are running, by name. */
export function listServices(): ReadonlyMap<string, Service> {
  return new Map(running);
}

async function launchReplica(
  config: ServiceConfig,
  index: number,
  actorClass: ActorClass,
  args: readonly unknown[],
  onFailure: (failure: Failure) => void,
): Promise<LaunchedReplica> {
  const name = `${config.name}_${index}`;
  const owner = new Owner(name, () => false, onFailure);
  const { hosts, withGpus, procsPerReplica } = config;
  const procs = await onFirstThatCan(hosts, index, (host) =>
    spawnProcMesh(host, { procs: procsPerReplica }, { name, withGpus }, owner),
  );
  try {
    const refs = await procs.spawnOwned(name, actorClass, args, owner);
    return { name, refs, pids: procs.pids, stop: (drainMs) => procs.stop({ drainMs }) };
  } catch (error) {
    await procs.stop({ drainMs: 0 });
    throw error;
  }
}

/**
 * The host whose turn it is comes first, then the ones behind it.
 *
 * @throws {ForgeError} why the first can't, and in its message why the others can't.
 */
async function onFirstThatCan<T>(
  hosts: readonly Host[],
  index: number,
  start: (host: Host) => Promise<T>,
): Promise<T> {
  const inTurn = hosts.map((_, turn) => hosts[(index + turn) % hosts.length]!);
  const reasons: ForgeError[] = [];
  for (const host of inTurn) {
    try {
      return await start(host);
    } catch (thrown) {
      const error = ForgeError.from(thrown);
      reasons.push(error);
      if (!error.retryable && error.code !== 'CAPACITY_GPUS') break;
    }
  }
  const [first] = reasons;
  if (first === undefined || reasons.length === 1) throw ForgeError.from(first);
  const message = reasons.map((reason, turn) => `${inTurn[turn]!.name}: ${reason.message}`).join('; ');
  throw new ForgeError(first.code, message, first.details, { cause: first });
}
