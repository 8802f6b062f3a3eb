import { ForgeError } from '@forge/errors';
import { InProcessTransport, SocketTransport } from './throwaway-transport';
import type { Address, Channel, Handler, Listener, Transport } from './transport';

/**
 * A process that answers no heartbeat for five seconds is taken for hung. One that died is noticed at once, by its
 * closed connection; a shorter time would take a process for hung that loads a large module or model.
 */
const HEARTBEAT = { intervalMs: 500, misses: 10 };

const byScheme = new Map<string, Transport>();

/** Takes a transport for all later connections of this process to addresses of its schemes, in place of any other. */
export function useTransport(transport: Transport): void {
  for (const scheme of transport.schemes) byScheme.set(scheme, transport);
}

useTransport(new InProcessTransport());
useTransport(new SocketTransport({ heartbeat: HEARTBEAT }));

/** @throws {ForgeError} what the transport of the address throws; CONFIG_INVALID for an address no transport knows. */
export async function connectTo(address: Address): Promise<Channel> {
  return transportOf(address).connect(address);
}

/** @throws {ForgeError} as `connectTo`. */
export async function listenAt(address: Address, handler: Handler): Promise<Listener> {
  return transportOf(address).listen(handler, address);
}

function transportOf(address: Address): Transport {
  const transport = byScheme.get(address.slice(0, address.indexOf(':')));
  if (transport !== undefined) return transport;
  throw new ForgeError('CONFIG_INVALID', `no transport is known for the address ${address}`, { address });
}
