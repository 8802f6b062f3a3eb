import { hostname, userInfo } from 'node:os';
import { agentAddresses } from '@forge/config';
import { message } from '../mesh/actor-ref';
import type { ActorProcess } from '../process/actor-process';
import { GovernedProcess } from '../process/governed-process';
import { connectTo } from '../transports/connections';
import { formatSocketAddress } from '../transports/socket-address';
import type { Address } from '../transports/transport';
import { allOrNone, Host, thisHost } from './host';
import { hostAddress } from './host-address';
import { HOST, type HostDescription } from './host-agent';
import { Lease } from './lease';

/** A machine on which `forge agent` runs; its agent hands out the GPUs. */
export class RemoteHost extends Host {
  /** @internal */
  constructor(
    readonly name: string,
    readonly address: Address,
  ) {
    super();
  }

  /** The host as it stands. @throws {ForgeError} as `connectHost`. */
  describe(): Promise<HostDescription> {
    return describe(this.address);
  }

  /** @throws {ForgeError} also TRANSIENT_SERVICE_UNAVAILABLE while the agent ends. */
  async start(count: number, gpusPerProcess: number): Promise<ActorProcess[]> {
    const at = hostAddress(this.address);
    const caller = `${userInfo().username}@${hostname()} (process ${process.pid})`;
    const lease = await Lease.take(await connectTo(this.address), caller, count, gpusPerProcess);
    try {
      return await allOrNone(
        lease.processes.map(async ({ control, port }) => {
          const channel = await connectTo(formatSocketAddress({ ...at, port }));
          return new GovernedProcess(channel, control);
        }),
      );
    } catch (error) {
      await lease.end();
      throw error;
    }
  }
}

/**
 * A machine on which `forge agent` runs, by the address of the agent. Each mesh on it has a connection of its own, so
 * an agent that was started anew is the same host.
 *
 * @throws {ForgeError} CONFIG_INVALID for an invalid address; TRANSIENT_REPLICA_LOST when no agent answers there;
 *   CONTRACT_UNAUTHORIZED; CONTRACT_PROTOCOL_MISMATCH.
 */
export async function connectHost(address: Address): Promise<RemoteHost> {
  hostAddress(address);
  const { name } = await describe(address);
  return new RemoteHost(name, address);
}

/** The hosts that `FORGE_HOSTS` names; where it is unset, this machine. @throws {ForgeError} as `connectHost`. */
export async function hostsFromEnvironment(): Promise<Host[]> {
  const addresses = agentAddresses();
  return addresses.length === 0 ? [thisHost()] : Promise.all(addresses.map(connectHost));
}

async function describe(address: Address): Promise<HostDescription> {
  const channel = await connectTo(address);
  try {
    return (await channel.call({ ...message('describe', []), actor: HOST })) as HostDescription;
  } finally {
    await channel.close();
  }
}
