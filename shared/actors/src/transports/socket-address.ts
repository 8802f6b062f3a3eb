import { ForgeError } from '@forge/errors';
import type { Address } from './transport';

/** The longest path a unix socket can have on Linux and macOS. */
export const MAX_SOCKET_PATH_BYTES = 103;

export type SocketAddress =
  { scheme: 'unix'; path: string } | { scheme: 'tcp' | 'tls'; host: string; port: number };

/** @throws {ForgeError} CONFIG_INVALID saying what an address looks like. */
export function parseSocketAddress(address: Address): SocketAddress {
  const unix = /^unix:(\/.+)$/.exec(address)?.[1];
  if (unix !== undefined) {
    if (Buffer.byteLength(unix) <= MAX_SOCKET_PATH_BYTES) return { scheme: 'unix', path: unix };
    const message = `${address}: the path of a socket takes at most ${MAX_SOCKET_PATH_BYTES} bytes; choose a shorter one`;
    throw new ForgeError('CONFIG_INVALID', message, { address });
  }
  const [, scheme, bracketed, plain, port] =
    /^(tcp|tls):\/\/(?:\[([^\]]+)\]|([^:/]+)):(\d{1,5})$/.exec(address) ?? [];
  const host = bracketed ?? plain;
  if (host !== undefined && Number(port) < 65_536)
    return { scheme: scheme === 'tls' ? 'tls' : 'tcp', host, port: Number(port) };
  throw new ForgeError(
    'CONFIG_INVALID',
    `${address} is no address of a socket; unix:/PATH, tcp://HOST:PORT or tls://HOST:PORT is expected`,
    { address },
  );
}

export function formatSocketAddress(address: SocketAddress): Address {
  if (address.scheme === 'unix') return `unix:${address.path}`;
  const { scheme, host, port } = address;
  return `${scheme}://${host.includes(':') ? `[${host}]` : host}:${port}`;
}
