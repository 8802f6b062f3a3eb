import { randomUUID } from 'node:crypto';
import { Mailbox, type Redis } from '@forge/broker';
import { ForgeError } from '@forge/errors';
import { FrameLink } from '../wire/frame-link';
import { CallChannel } from './call-channel';
import { Deadlines } from './deadlines';
import { Handshake, MAX_HANDSHAKE_BYTES } from './handshake';
import { MailboxRoutes, type Route } from './mailbox-routes';
import { tellingRefusals } from './refused-peer';
import { Serving } from './serving';
import type { Address, Channel, Handler, Listener, OnRefused, Transport } from './transport';

export interface RedisTransportOptions {
  /** The cluster token, if peers must know it beyond being let into Redis. */
  token?: string;
  /** Longest time to connect, greeting included; default 5,000. */
  connectTimeoutMs?: number;
}

const CONNECT_TIMEOUT_MS = 5_000;

/**
 * Calls through Redis, for processes that can't reach each other: some times slower than sockets, and a lost peer is
 * noticed after up to 2 s. While Redis is away calls wait.
 */
export class RedisTransport implements Transport {
  readonly schemes = ['redis'];
  private readonly deadlines = new Deadlines();
  private readonly connectTimeoutMs: number;
  /** Mailbox for answers to our calls, kept while there are channels. */
  private answers: Promise<MailboxRoutes> | null = null;
  private channels = 0;

  /** `redis` stays the caller's to close, after the channels and listeners. */
  constructor(
    private readonly redis: Redis,
    private readonly options: RedisTransportOptions = {},
  ) {
    this.connectTimeoutMs = options.connectTimeoutMs ?? CONNECT_TIMEOUT_MS;
  }

  /** @throws {ForgeError} CONFIG_INVALID when `at` is no `redis:NAME`, or taken. */
  async listen(
    handler: Handler,
    at: Address = `redis:${randomUUID()}`,
    onRefused?: OnRefused,
  ): Promise<Listener> {
    const tell = tellingRefusals(onRefused);
    const mailbox = await Mailbox.open(this.redis, nameOf(at), randomUUID());
    const links = new Set<FrameLink>();
    const routes = new MailboxRoutes(
      mailbox,
      (route, owner) => {
        this.accept(routes, route, owner, handler, links, tell);
      },
      tell,
    );
    return {
      address: at,
      close: async () => {
        const reason = new ForgeError('TRANSIENT_REPLICA_LOST', 'its listener was closed');
        const ended = [...links];
        for (const link of ended) link.end(reason, true);
        await Promise.all(ended.map(({ closed }) => closed));
        await routes.close();
      },
    };
  }

  async connect(address: Address): Promise<Channel> {
    const name = nameOf(address);
    this.channels++;
    this.answers ??= this.openAnswers();
    try {
      const routes = await this.answers;
      const owner = await routes.mailbox.ownerOf(name);
      if (owner === null) throw unreachable(address, 'no process has that mailbox');
      return await this.greet(routes, address, { peer: name, channel: randomUUID() }, owner);
    } catch (error) {
      await this.release();
      throw error;
    }
  }

  private greet(routes: MailboxRoutes, address: Address, route: Route, owner: string): Promise<Channel> {
    return new Promise((resolve, reject) => {
      let onLost = (why: string): void => {
        link.end(unreachable(address, why), false);
      };
      const deadline = setTimeout(() => {
        onLost(`no greeting within ${this.connectTimeoutMs} ms`);
      }, this.connectTimeoutMs);
      const handshake = new Handshake(
        'caller',
        this.options.token,
        () => {
          clearTimeout(deadline);
          const channel = new CallChannel(address, link, this.deadlines);
          onLost = (why) => {
            link.end(channel.lostReason(why), false);
          };
          void link.closed.then(() => this.release());
          resolve(channel);
        },
        (reason) => {
          clearTimeout(deadline);
          reject(reason);
        },
      );
      const carrier = routes.add(route, owner, (why) => {
        onLost(why);
      });
      const link = new FrameLink(carrier, handshake, MAX_HANDSHAKE_BYTES);
      carrier.attach(link);
      handshake.start(link);
    });
  }

  private accept(
    routes: MailboxRoutes,
    route: Route,
    owner: string,
    handler: Handler,
    links: Set<FrameLink>,
    onRefused: OnRefused,
  ): void {
    const onLost = (why: string): void => {
      link.end(new ForgeError('TRANSIENT_REPLICA_LOST', `the caller was lost: ${why}`, { why }), false);
    };
    const deadline = setTimeout(() => {
      onLost('it did not say who it is');
    }, this.connectTimeoutMs);
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
      },
      onEnded,
    );
    const carrier = routes.add(route, owner, onLost);
    const link = new FrameLink(carrier, handshake, MAX_HANDSHAKE_BYTES);
    links.add(link);
    carrier.attach(link);
    handshake.start(link);
  }

  private async openAnswers(): Promise<MailboxRoutes> {
    // No caller knows this mailbox: letters of unknown channels are dropped.
    return new MailboxRoutes(await Mailbox.open(this.redis, randomUUID(), randomUUID()), null);
  }

  private async release(): Promise<void> {
    if (--this.channels > 0) return;
    const { answers } = this;
    this.answers = null;
    await (await answers?.catch(() => null))?.close();
  }
}

/** The name in an address. @throws {ForgeError} CONFIG_INVALID unless it is `redis:NAME`. */
function nameOf(address: Address): string {
  const name = /^redis:([^{}\s]+)$/.exec(address)?.[1];
  if (name !== undefined) return name;
  throw new ForgeError('CONFIG_INVALID', `${address} is no mailbox; redis:NAME is expected`, { address });
}

function unreachable(address: Address, why: string): ForgeError {
  return new ForgeError('TRANSIENT_REPLICA_LOST', `nobody answers at ${address}: ${why}`, { address, why });
}
