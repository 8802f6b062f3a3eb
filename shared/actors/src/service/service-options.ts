import { ForgeError } from '@forge/errors';
import { thisHost, type Host } from '../hosts/host';
import type { RestartPolicy } from './restart-budget';
import type { Router, RouterName } from './routers';

/** Settings of a service. */
export interface ServiceOptions {
  /** Unique among the services of this process. Default: the name of the class and a number. */
  name?: string;
  /** Default 1. */
  numReplicas?: number;
  /** Processes of one replica, called as one. Default 1. */
  procsPerReplica?: number;
  /** A GPU of its own for every process. Default false. */
  withGpus?: boolean;
  /** Hosts of the replicas, in turn; when one can't start a replica, the next does. Default: this machine. */
  hosts?: readonly Host[];
  /** Default round robin. */
  router?: RouterName | Router;
  /** Calls a replica works on at a time. Default 10. */
  maxConcurrent?: number;
  /** Calls that wait for a replica; beyond that they are rejected with CAPACITY_QUEUE_FULL. Default 1,000. */
  maxQueued?: number;
  /** Deadline of calls that name none, waiting included. Default 600,000. */
  timeoutMs?: number;
  /** Whether an unexpected exception makes the replica start anew. A dead or hung process always does. Default recover. */
  failurePolicy?: 'recover' | 'keep';
  /** Default: 10 in a row, a replica healthy for 1,000 ms starts anew; 100 ms backoff, at most 5,000. */
  restarts?: Partial<RestartPolicy>;
}

export type ServiceConfig = Readonly<
  Required<Omit<ServiceOptions, 'restarts'>> & { restarts: Readonly<RestartPolicy> }
>;

let unnamed = 0;

/** Filled up with defaults. @throws {ForgeError} CONFIG_INVALID naming the option. */
export function serviceConfig(options: ServiceOptions, className: string): ServiceConfig {
  const config: ServiceConfig = {
    name: options.name ?? `${className}-${unnamed++}`,
    numReplicas: options.numReplicas ?? 1,
    procsPerReplica: options.procsPerReplica ?? 1,
    withGpus: options.withGpus ?? false,
    hosts: options.hosts ?? [thisHost()],
    router: options.router ?? 'round-robin',
    maxConcurrent: options.maxConcurrent ?? 10,
    maxQueued: options.maxQueued ?? 1_000,
    timeoutMs: options.timeoutMs ?? 600_000,
    failurePolicy: options.failurePolicy ?? 'recover',
    restarts: { maxRestarts: 10, stableMs: 1_000, backoffMs: 100, maxBackoffMs: 5_000, ...options.restarts },
  };
  atLeast(1, config, ['numReplicas', 'procsPerReplica', 'maxConcurrent', 'timeoutMs']);
  atLeast(0, config, ['maxQueued']);
  if (config.hosts.length === 0) throw invalid('hosts', 'at least one', 'none');
  return config;
}

type NumericOption = 'numReplicas' | 'procsPerReplica' | 'maxConcurrent' | 'timeoutMs' | 'maxQueued';

function atLeast(bound: number, config: ServiceConfig, names: readonly NumericOption[]): void {
  for (const name of names) {
    const value = config[name];
    if (!(Number.isSafeInteger(value) && value >= bound))
      throw invalid(name, `an integer of at least ${bound}`, value);
  }
}

export function invalid(option: string, expected: string, found: unknown): ForgeError {
  const message = `service option ${option}: expected ${expected}, found ${String(found)}`;
  return new ForgeError('CONFIG_INVALID', message, { option, found });
}
