import { once } from 'node:events';
import { lstat, rm, stat, unlink } from 'node:fs/promises';
import { connect as connectNet, createServer as createNetServer, type Server, type Socket } from 'node:net';
import { dirname } from 'node:path';
import { connect as connectTls, createServer as createTlsServer } from 'node:tls';
import { ForgeError } from '@forge/errors';
import { FrameLink } from '../wire/frame-link';
import { CallChannel } from './call-channel';
import { Deadlines } from './deadlines';
import { Handshake, MAX_HANDSHAKE_BYTES } from './handshake';
import { watchHeartbeat, type HeartbeatTiming } from './heartbeat';
import { tellingRefusals } from './refused-peer';
import { Serving } from './serving';
import { formatSocketAddress, parseSocketAddress, type SocketAddress } from './socket-address';
import { SocketCarrier } from './socket-carrier';
import { makeSocketDirectory } from './socket-directory';
import type { Address, Channel, Handler, Listener, OnRefused, Transport } from './transport';

export interface SocketTransportOptions {
  /** The cluster token. Without one, only unix sockets in directories of mode 0700 are listened at. */
  token?: string;
  /** PEM. A listener at `tls:` needs `cert` and `key`; a caller checks the listener's certificate against `ca`. */
  tls?: { cert?: string; key?: string; ca?: string };
  /** Default: every 150 ms, lost after 5 misses. With `false`, only a closed connection is noticed. */
  heartbeat?: Partial<HeartbeatTiming> | false;
  /** Longest time to connect, greeting included; default 5,000. */
  connectTimeoutMs?: number;
}

const HEARTBEAT: HeartbeatTiming = { intervalMs: 150, misses: 5 };
const CONNECT_TIMEOUT_MS = 5_000;
/** A caller whose loop is blocked for a while keeps its calls: a listener waits so many times longer for it. */
const CALLER_PATIENCE = 20;

/** Calls over unix sockets, TCP and TLS. */
export class SocketTransport implements Transport {
  readonly schemes = ['unix', 'tcp', 'tls'];
  private readonly deadlines = new Deadlines();
  private readonly heartbeat: HeartbeatTiming | null;
  private readonly connectTimeoutMs: number;

  constructor(private readonly options: SocketTransportOptions = {}) {
    const { heartbeat, connectTimeoutMs = CONNECT_TIMEOUT_MS } = options;
    this.heartbeat = heartbeat === false ? null : { ...HEARTBEAT, ...heartbeat };
    this.connectTimeoutMs = connectTimeoutMs;
  }

  /**
   * Listens at `at`, or at a unix socket in a directory of its own.
   *
   * @throws {ForgeError} CONFIG_INVALID when `at` is no address, is taken, or needs a token or certificate.
   */
  async listen(handler: Handler, at?: Address, onRefused?: OnRefused): Promise<Listener> {
    const ownDir = at === undefined ? await makeSocketDirectory() : null;
    const wanted = parseSocketAddress(at ?? `unix:${ownDir}/s`);
    await this.checkGuarded(wanted);
    const sockets = new Set<Socket>();
    const links = new Set<FrameLink>();
    const accept = (socket: Socket): void => {
      sockets.add(socket);
      socket.once('close', () => sockets.delete(socket));
      this.accept(socket, handler, links, tellingRefusals(onRefused));
    };
    const server = this.serverFor(wanted, accept);
    const address = await bind(server, wanted);
    return {
      address: formatSocketAddress(address),
      close: async () => {
        const closed = once(server, 'close');
        server.close();
        const reason = new ForgeError('TRANSIENT_REPLICA_LOST', 'its listener was closed');
        for (const link of [...links]) link.end(reason, true);
        await closed;
        if (ownDir !== null) await rm(ownDir, { recursive: true, force: true });
      },
    };
  }

  async connect(address: Address): Promise<Channel> {
    const parsed = parseSocketAddress(address);
    return new Promise((resolve, reject) => {
      const unreachable = (why: string): ForgeError =>
        new ForgeError('TRANSIENT_REPLICA_LOST', `nobody answers at ${address}: ${why}`, { address, why });
      const handshake = new Handshake(
        'caller',
        this.options.token,
        () => {
          clearTimeout(deadline);
          const channel = new CallChannel(address, link, this.deadlines);
          onLost = (why) => {
            link.end(channel.lostReason(why), false);
          };
          this.watch(link, 1, socket, (why) => {
            onLost(why);
          });
          resolve(channel);
        },
        (reason) => {
          clearTimeout(deadline);
          reject(reason);
        },
      );
      const socket = this.dial(parsed);
      const carrier = new SocketCarrier(socket);
      const link = new FrameLink(carrier, handshake, MAX_HANDSHAKE_BYTES);
      let onLost = (why: string): void => {
        link.end(unreachable(why), false);
      };
      const deadline = setTimeout(() => {
        onLost(`no greeting within ${this.connectTimeoutMs} ms`);
      }, this.connectTimeoutMs);
      socket.once('error', (error) => {
        if (isUntrusted(error)) link.end(untrusted(address, error), false);
      });
      carrier.attach(link, (why) => {
        onLost(why);
      });
      socket.once(parsed.scheme === 'tls' ? 'secureConnect' : 'connect', () => {
        handshake.start(link);
      });
    });
  }

  private accept(socket: Socket, handler: Handler, links: Set<FrameLink>, onRefused: OnRefused): void {
    const carrier = new SocketCarrier(socket);
    const onEnded = (reason: ForgeError): void => {
      clearTimeout(deadline);
      links.delete(link);
      onRefused(reason);
    };
    const handshake = new Handshake(
      'listener',
      this.options.token,
      () => {
        clearTimeout(deadline);
        new Serving(link, handler, this.deadlines, onEnded, onRefused);
        this.watch(link, CALLER_PATIENCE, socket, onLost);
      },
      onEnded,
    );
    const link = new FrameLink(carrier, handshake, MAX_HANDSHAKE_BYTES);
    const onLost = (why: string): void => {
      link.end(new ForgeError('TRANSIENT_REPLICA_LOST', `the caller was lost: ${why}`, { why }), false);
    };
    const deadline = setTimeout(() => {
      onLost('it did not say who it is');
    }, this.connectTimeoutMs);
    links.add(link);
    carrier.attach(link, onLost);
    handshake.start(link);
  }

  private watch(link: FrameLink, patience: number, socket: Socket, onLost: (why: string) => void): void {
    if (this.heartbeat === null) return;
    const { intervalMs, misses } = this.heartbeat;
    socket.once('close', watchHeartbeat(link, { intervalMs: intervalMs * patience, misses }, onLost));
  }

  private dial(address: SocketAddress): Socket {
    if (address.scheme === 'unix') return connectNet(address.path);
    const { host, port } = address;
    if (address.scheme === 'tcp') return connectNet({ host, port });
    return connectTls({ host, port, ...this.options.tls });
  }

  private serverFor({ scheme }: SocketAddress, accept: (socket: Socket) => void): Server {
    if (scheme !== 'tls') return createNetServer(accept);
    const { cert, key, ca } = this.options.tls ?? {};
    if (cert === undefined || key === undefined)
      throw new ForgeError('CONFIG_INVALID', 'a listener at tls: needs tls.cert and tls.key');
    return createTlsServer({ cert, key, ...(ca === undefined ? {} : { ca }) }, accept);
  }

  /** Refuses an address that other users reach, for a listener without a token. */
  private async checkGuarded(address: SocketAddress): Promise<void> {
    if (this.options.token !== undefined) return;
    const shown = formatSocketAddress(address);
    if (address.scheme !== 'unix') {
      const message = `${shown}: listening there takes a cluster token (FORGE_CLUSTER_TOKEN), or use unix:`;
      throw new ForgeError('CONFIG_INVALID', message, { address: shown });
    }
    const { mode } = await stat(dirname(address.path)).catch((cause: unknown) => {
      throw new ForgeError(
        'CONFIG_INVALID',
        `${shown}: there is no such directory`,
        { address: shown },
        { cause },
      );
    });
    if ((mode & 0o077) === 0) return;
    throw new ForgeError(
      'CONFIG_INVALID',
      `${shown}: others may enter that directory; without a cluster token its mode must be 0700`,
      { address: shown, mode: mode & 0o777 },
    );
  }
}

/** The address at which the server listens. A stale socket file is replaced. */
async function bind(server: Server, wanted: SocketAddress): Promise<SocketAddress> {
  const listen = async (): Promise<void> => {
    if (wanted.scheme === 'unix') server.listen(wanted.path);
    else server.listen(wanted.port, wanted.host);
    await once(server, 'listening');
  };
  try {
    await listen().catch(async (error: NodeJS.ErrnoException) => {
      if (error.code !== 'EADDRINUSE' || wanted.scheme !== 'unix' || !(await isStale(wanted.path)))
        throw error;
      await unlink(wanted.path);
      await listen();
    });
  } catch (cause) {
    const address = formatSocketAddress(wanted);
    const why = cause instanceof Error ? cause.message : String(cause);
    throw new ForgeError('CONFIG_INVALID', `can't listen at ${address}: ${why}`, { address }, { cause });
  }
  const bound = server.address();
  if (wanted.scheme === 'unix' || bound === null || typeof bound === 'string') return wanted;
  return { ...wanted, port: bound.port };
}

/** Whether the file is a socket without a listener. */
async function isStale(path: string): Promise<boolean> {
  if (!(await lstat(path)).isSocket()) return false;
  const socket = connectNet(path);
  try {
    await once(socket, 'connect');
    return false;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'ECONNREFUSED';
  } finally {
    socket.destroy();
  }
}

/** Whether TLS refused the peer's certificate. */
function isUntrusted(error: NodeJS.ErrnoException): boolean {
  return /CERT|ALTNAME|SELF_SIGNED|UNABLE_TO_VERIFY|ISSUER/.test(error.code ?? '');
}

function untrusted(address: Address, error: Error): ForgeError {
  const message = `the certificate of ${address} is not trusted: ${error.message}`;
  return new ForgeError('CONTRACT_UNAUTHORIZED', message, { address }, { cause: error });
}
