import { hostname } from 'node:os';
import { actorSecurity } from '@forge/config';
import { ForgeError } from '@forge/errors';
import { version } from '../../package.json';
import { ActorRuntime } from '../runtime/actor-runtime';
import { listenAt } from '../transports/connections';
import { formatSocketAddress } from '../transports/socket-address';
import type { Address } from '../transports/transport';
import { thisHost } from './host';
import { hostAddress } from './host-address';
import { HOST, HostAgent } from './host-agent';
import { HostProcesses } from './host-processes';

export interface ServeHostOptions {
  /** `tcp://INTERFACE:PORT` or `tls://INTERFACE:PORT`; port 0 takes any free one. */
  at: Address;
  /** Default: the name of the machine. */
  name?: string;
  /** Told which caller spawns and releases which process. */
  log: (message: string) => void;
}

/** This machine as a host for others. */
export interface ServedHost {
  readonly name: string;
  readonly address: Address;
  readonly gpus: readonly number[];
  /** Starts nothing more, lets processes answer what has come to them for at most `drainMs`, and ends them. */
  close(drainMs: number): Promise<void>;
}

/**
 * Lets holders of the cluster token start processes on this machine, with the GPUs that `thisHost()` has.
 *
 * @throws {ForgeError} CONFIG_INVALID without a token, or saying what is wrong with the address.
 */
export async function serveHost({ at, name = hostname(), log }: ServeHostOptions): Promise<ServedHost> {
  const wanted = hostAddress(at);
  if (actorSecurity().token === undefined) {
    const message =
      'a host runs what its callers send: set FORGE_CLUSTER_TOKEN to a secret, the same here and at the callers';
    throw new ForgeError('CONFIG_INVALID', message, { variable: 'FORGE_CLUSTER_TOKEN' });
  }
  const { gpus } = thisHost();
  const processes = new HostProcesses(gpus, formatSocketAddress({ ...wanted, port: 0 }), log);
  const runtime = new ActorRuntime(({ failure }) => {
    log(failure.error.message);
  });
  const birth = { name: HOST, point: { rank: 0, coordinates: {} } };
  await runtime.spawn(HOST, HostAgent, birth, [{ name, version }, processes]);
  const listener = await listenAt(at, runtime);
  return {
    name,
    address: listener.address,
    gpus: gpus.ids,
    close: async (drainMs) => {
      await processes.drain(drainMs);
      await listener.close();
    },
  };
}
