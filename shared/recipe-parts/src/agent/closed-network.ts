import { existsSync } from 'node:fs';
import { connect, Server, type AddressInfo, type Socket } from 'node:net';
import { join } from 'node:path';
import { commandEnvironment } from '@forge/config';
import { ForgeError, within } from '@forge/errors';
import { compiledPath } from '@forge/threads';
import { startGuardedGroup, toldEnding, type GuardedGroup } from '../processes/guarded-group';
import { inNetworkOf, newNetwork, type NamespaceTools } from '../processes/network-namespace';
import { OutputTail } from '../processes/output-tail';

/** A network that agents are in, with a door to the gateway. */
interface OpenNetwork {
  /** Process that holds it. */
  pid: number;
  port: number;
  isOver: boolean;
}

const MAIN = join(__dirname, 'network-main');
const START_MS = 30_000;
const STDERR_BYTES = 4 * 1024;

/**
 * A network without a way out but to the gateway, for the agents of a policy: a process holds it, and this one answers at its
 * only door, a port of its loopback interface. It ends with this process, however that ends.
 */
export class ClosedNetwork {
  private network: Promise<OpenNetwork> | null = null;
  private target = { host: '', port: 0 };

  constructor(private readonly tools: NamespaceTools) {}

  /**
   * The command in the network, and the address of the gateway there.
   *
   * @throws {ForgeError} TRANSIENT_ENVIRONMENT_FAILED when it can't be made.
   */
  async enter(command: readonly string[], baseUrl: string): Promise<{ command: string[]; baseUrl: string }> {
    const inside = new URL(baseUrl);
    this.target = { host: inside.hostname.replace(/^\[|\]$/g, ''), port: Number(inside.port || 80) };
    const { pid, port } = await this.opened();
    inside.host = `127.0.0.1:${port}`;
    return {
      command: inNetworkOf(pid, this.tools, command),
      baseUrl: inside.toString().replace(/\/$/, ''),
    };
  }

  private async opened(): Promise<OpenNetwork> {
    const opening = (this.network ??= this.open());
    const network = await opening;
    // Its process may be gone before this one hears of it.
    if (!network.isOver && existsSync(`/proc/${network.pid}/ns/net`)) return network;
    // Another agent may have begun a new one.
    if (this.network === opening) this.network = null;
    return this.opened();
  }

  private async open(): Promise<OpenNetwork> {
    try {
      const holder = newNetwork(this.tools, [process.execPath, compiledPath(MAIN), this.tools.ip]);
      const group = await startGuardedGroup(holder, { env: commandEnvironment(), answers: true });
      group.unref();
      const port = await this.door(group);
      const network = { pid: group.pid, port, isOver: false };
      void group.ended.then(() => (network.isOver = true));
      return network;
    } catch (error) {
      this.network = null;
      throw error;
    }
  }

  /** The port of the door, once this process answers there. */
  private door(group: GuardedGroup): Promise<number> {
    const stderr = new OutputTail(group.stderr, STDERR_BYTES);
    const failed = (why: string): ForgeError =>
      new ForgeError(
        'TRANSIENT_ENVIRONMENT_FAILED',
        `the network of the agents (rollout.network) failed: ${why}`,
      );
    const opened = new Promise<number>((resolve, reject) => {
      group.child.once('message', (message, handle) => {
        const server = handle as Server;
        server.on('connection', (socket) => this.lead(socket)).unref();
        resolve((message as { address: AddressInfo }).address.port);
      });
      void group.ended.then((ending) => reject(failed(`${toldEnding(ending)}${stderr.told}`)));
    });
    return within(START_MS, opened, () => {
      group.kill();
      throw failed(`it did not begin within ${START_MS} ms`);
    });
  }

  /** Leads a connection of an agent to the gateway. */
  private lead(agent: Socket): void {
    const gateway = connect({ ...this.target, allowHalfOpen: true });
    for (const [from, to] of [
      [agent, gateway],
      [gateway, agent],
    ] as const) {
      from.pipe(to);
      from.on('error', () => to.destroy());
      from.on('close', () => to.end());
    }
  }
}
