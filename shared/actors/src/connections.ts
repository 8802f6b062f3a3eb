import { actorSecurity } from '@forge/config';
import { ForgeError } from '@forge/errors';
import type { Address, Channel, Handler, Listener, Transport } from './transport';
import { InProcessTransport } from './transports/in-process';
import { SocketTransport } from './transports/socket';

const transports = new Map<string, Transport>();

/** Makes a transport that of its schemes, in place of the one they had. */
export function useTransport(transport: Transport): void {
  for (const scheme of transport.schemes) transports.set(scheme, transport);
}

/** @throws {ForgeError} what the transport of the address throws. */
export function connectTo(address: Address): Promise<Channel> {
  return transportOf(schemeOf(address)).connect(address);
}

/** Listens at an address, or, given a scheme alone, at one that the transport finds. */
export function listenAt(addressOrScheme: Address, handler: Handler): Promise<Listener> {
  const transport = transportOf(schemeOf(addressOrScheme));
  return transport.listen(handler, addressOrScheme.includes(':') ? addressOrScheme : undefined);
}

function schemeOf(address: Address): string {
  return address.split(':', 1)[0]!;
}

function transportOf(scheme: string): Transport {
  // The environment is not read before it is needed.
  if (transports.size === 0) {
    useTransport(new InProcessTransport());
    useTransport(new SocketTransport(actorSecurity()));
  }
  const transport = transports.get(scheme);
  if (transport !== undefined) return transport;
  const known = [...transports.keys()].join(', ');
  const message = `no transport is known for addresses that begin with ${scheme}; there are ${known}`;
  throw new ForgeError('CONFIG_INVALID', message, { scheme });
}
