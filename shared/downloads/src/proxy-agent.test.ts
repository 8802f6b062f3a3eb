import { proxiedFetch } from './proxied-fetch';
import { proxyAgent } from './proxy-agent';

const before = { ...process.env };
afterEach(() => {
  process.env = { ...before };
});

/** Address of the proxy of a connection; null: none. */
async function proxyOf(url: string, variables: Record<string, string>): Promise<string | null> {
  process.env = { ...variables };
  const agent = (await proxyAgent(url)) as { proxy?: URL } | undefined;
  return agent?.proxy?.host ?? null;
}

describe('proxyAgent', () => {
  const both = { HTTP_PROXY: 'http://plain:1', HTTPS_PROXY: 'http://secure:2' };

  it.each([
    ['ws://a.example/ws', {}, null],
    ['ws://a.example/ws', both, 'plain:1'],
    ['wss://a.example/ws', both, 'secure:2'],
    ['https://a.example:8443/ws', both, 'secure:2'],
    // The fetch of this package takes HTTP_PROXY for https as well, where there is no other.
    ['wss://a.example/ws', { http_proxy: 'http://plain:1' }, 'plain:1'],
    ['ws://a.example/ws', { HTTPS_PROXY: 'http://secure:2' }, null],
    ['ws://a.example/ws', { ...both, NO_PROXY: 'b.example,.example' }, null],
    ['wss://a.example/ws', { ...both, NO_PROXY: 'a.example:443' }, null],
    ['wss://a.example:8443/ws', { ...both, no_proxy: 'a.example:443' }, 'secure:2'],
    ['ws://a.example/ws', { ...both, NO_PROXY: '*' }, null],
  ])('of %s with %j goes by %p', async (url, variables, proxy) => {
    expect(await proxyOf(url, variables)).toBe(proxy);
  });

  it.each([
    ['https://a.invalid/x', { HTTP_PROXY: 'http://127.0.0.1:9' }],
    ['http://a.invalid/x', { HTTP_PROXY: 'http://127.0.0.1:9' }],
  ])('agrees with the fetch of this package about %s', async (url, variables) => {
    expect(await proxyOf(url, variables)).toBe('127.0.0.1:9');
    // The proxy refuses connections; without it the name would not be found.
    const error = await proxiedFetch()(url, {}).catch((thrown: unknown) => thrown);
    expect(JSON.stringify((error as { cause?: { code?: string } }).cause)).toContain('ECONNREFUSED');
  });
});
