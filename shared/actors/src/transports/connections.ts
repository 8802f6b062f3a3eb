import { actorSecurity } from '@forge/config';
import { ForgeError } from '@forge/errors';
import { InProcessTransport } from './in-process';
import { SocketTransport } from './socket';
import type { Address, Channel, Handler, Listener, OnRefused, Transport } from './transport';

/**
 * A process that answers no heartbeat for five seconds is taken for hung. One that died is noticed at once, by its
 * closed connection; a shorter time would take a process for hung that loads a large module or model.
 */
const HEARTBEAT = { intervalMs: 500, misses: 10 };

const transports = new Map<string, Transport>();

/** Takes a transport for all later connections of this process to addresses of its schemes, in place of any other. */
export function useTransport(transport: Transport): void {
  if (transports.size === 0) useDefaults();
  for (const scheme of transport.schemes) transports.set(scheme, transport);
}

/** @throws {ForgeError} what the transport of the address throws. */
export function connectTo(address: Address): Promise<Channel> {
  return transportOf(schemeOf(address)).connect(address);
}

/** Listens at an address, or, given a scheme alone, at one that the transport finds. */
export function listenAt(
  addressOrScheme: Address,
  handler: Handler,
  onRefused?: OnRefused,
): Promise<Listener> {
  const transport = transportOf(schemeOf(addressOrScheme));
  return transport.listen(handler, addressOrScheme.includes(':') ? addressOrScheme : undefined, onRefused);
}

function schemeOf(address: Address): string {
  return address.split(':', 1)[0]!;
}

function transportOf(scheme: string): Transport {
  if (transports.size === 0) useDefaults();
  const transport = transports.get(scheme);
  if (transport !== undefined) return transport;
  const known = [...transports.keys()].join(', ');
  const message = `no transport is known for addresses that begin with ${scheme}; there are ${known}`;
  throw new ForgeError('CONFIG_INVALID', message, { scheme });
}

/** Makes the default transports when they are first needed, since they read the environment. */
function useDefaults(): void {
  for (const transport of [
    new InProcessTransport(),
    new SocketTransport({ ...actorSecurity(), heartbeat: HEARTBEAT }),
  ])
    for (const scheme of transport.schemes) transports.set(scheme, transport);
}
