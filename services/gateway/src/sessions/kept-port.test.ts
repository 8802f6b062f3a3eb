import { ForgeError } from '@forge/errors';
import { openAtKeptPort, type ListeningPlace } from './kept-port';

/** Opens the gateway of a replica; where it tried to listen, and what the registry says then. */
async function opened(
  replica: string,
  gateway: { port?: number; host?: string },
  before: string | null = null,
  taken: readonly (number | null)[] = [],
) {
  const tried: ListeningPlace[] = [];
  let said: string | null = null;
  const context = {
    ...{ replica, httpHost: '127.0.0.1', recipe: { gateway: { replicas: 1, maxCalls: 1, ...gateway } } },
    reachable: (address: string) => address.replace('0.0.0.0', 'me'),
    logger: { warn: () => undefined } as never,
    registry: {
      servedAt: () => Promise.resolve(before),
      serves: (_: string, __: string, address: string) => Promise.resolve(void (said = address)),
    },
  };
  await openAtKeptPort(context, (at) => {
    tried.push(at);
    if (taken.includes(at.port)) return Promise.reject(new ForgeError('CONFIG_INVALID', 'taken'));
    return Promise.resolve({ url: `http://${at.host}:${at.port ?? 8123}`, close: () => Promise.resolve() });
  });
  return { ports: tried.map(({ port }) => port), said };
}

describe('the port of a gateway', () => {
  it('is the usual one of the first replica, and any of others', async () => {
    expect(await opened('0', {})).toEqual({ ports: [null], said: 'http://127.0.0.1:8123' });
    expect(await opened('1', {})).toMatchObject({ ports: [0] });
    expect(await opened('pod-7f9', {})).toMatchObject({ ports: [null] });
  });

  it('is that of the process which had the name before', async () => {
    expect(await opened('1', {}, 'http://127.0.0.1:40123')).toMatchObject({ ports: [40123] });
    expect(await opened('0', {}, 'http://127.0.0.1:40123', [40123])).toMatchObject({ ports: [40123, null] });
  });

  it('is that of the recipe, one up for each further replica, or none', async () => {
    expect(await opened('0', { port: 9000 }, 'http://127.0.0.1:40123')).toMatchObject({ ports: [9000] });
    expect(await opened('2', { port: 9000, host: '0.0.0.0' })).toEqual({
      ports: [9002],
      said: 'http://me:9002',
    });
    expect(await opened('pod-7f9', { port: 9000 })).toMatchObject({ ports: [9000] });
    await expect(opened('0', { port: 9000 }, null, [9000])).rejects.toMatchObject({ code: 'CONFIG_INVALID' });
  });
});
