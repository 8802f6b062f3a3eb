import type { Agent } from 'node:http';

/** The way of a connection to `url` through the proxy of the environment, the one `proxiedFetch` takes; undefined: a direct one. */
export async function proxyAgent(url: string): Promise<Agent | undefined> {
  const { getProxyForUrl } = await import('proxy-from-env');
  const { protocol, hostname, port } = new URL(url);
  const isSecure = ['wss:', 'https:'].includes(protocol);
  const host = `${hostname}:${port || (isSecure ? 443 : 80)}`;
  const proxy = (isSecure && getProxyForUrl(`https://${host}`)) || getProxyForUrl(`http://${host}`);
  if (proxy === '') return undefined;
  const { HttpsProxyAgent } = await import('https-proxy-agent');
  return new HttpsProxyAgent(proxy);
}
