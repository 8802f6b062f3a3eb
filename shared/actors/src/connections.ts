import { ForgeError } from '@forge/errors';
import { inProcessTransport, unixTransport } from './throwaway-transport';
import type { Address, Channel, Handler, Listener, Transport } from './transport';

const transports: readonly Transport[] = [inProcessTransport, unixTransport];

function transportOf(address: Address): Transport {
  const scheme = address.slice(0, address.indexOf(':'));
  const transport = transports.find(({ schemes }) => schemes.includes(scheme));
  if (transport !== undefined) return transport;
  throw new ForgeError('CONFIG_INVALID', `no transport is known for the address ${address}`, { address });
}

/** @throws {ForgeError} what the transport of the address throws. */
export function connectTo(address: Address): Promise<Channel> {
  return transportOf(address).connect(address);
}

export function listenAt(address: Address, handler: Handler): Promise<Listener> {
  return transportOf(address).listen(handler, address);
}
