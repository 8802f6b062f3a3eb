import { networkInterfaces } from 'node:os';

const EVERY_INTERFACE = /^([a-z]+:\/\/)(?:0\.0\.0\.0|\[::\])(?=[:/]|$)/;

/** The first address of this machine or container that others can reach; its loopback address where there is none. */
export function ownHost(interfaces: ReturnType<typeof networkInterfaces> = networkInterfaces()): string {
  const all = Object.values(interfaces).flatMap((addresses) => addresses ?? []);
  const external = all.filter(({ internal }) => !internal);
  const chosen = external.find(({ family }) => family === 'IPv4') ?? external.find(({ scopeid }) => !scopeid);
  return chosen?.address ?? '127.0.0.1';
}

/** The address that others are told: `host` takes the place of one that stands for every interface. */
export function reachableAddress(address: string, host: string): string {
  return address.replace(
    EVERY_INTERFACE,
    (_, scheme: string) => `${scheme}${host.includes(':') ? `[${host}]` : host}`,
  );
}
