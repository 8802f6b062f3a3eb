import { ForgeError } from '@forge/errors';
import { parseSocketAddress, type SocketAddress } from '../transports/socket-address';
import type { Address } from '../transports/transport';

/** @throws {ForgeError} CONFIG_INVALID for an address that other machines can't reach. */
export function hostAddress(address: Address): Exclude<SocketAddress, { scheme: 'unix' }> {
  if (/^(tcp|tls):/.test(address)) {
    const parsed = parseSocketAddress(address);
    if (parsed.scheme !== 'unix') return parsed;
  }
  const message = `${address}: a host is at tcp://HOST:PORT or tls://HOST:PORT`;
  throw new ForgeError('CONFIG_INVALID', message, { address });
}
