import type { Agent } from 'node:http';
import { HttpsProxyAgent } from 'https-proxy-agent';
import { getProxyForUrl } from 'proxy-from-env';

/** The way of a connection to `url` through the proxy of the environment, the one `proxiedFetch` takes; undefined: a direct one. */
export function proxyAgent(url: string): Agent | undefined {
  const { protocol, hostname, port } = new URL(url);
  const isSecure = ['wss:', 'https:'].includes(protocol);
  const host = `${hostname}:${port || (isSecure ? 443 : 80)}`;
  const proxy = (isSecure && getProxyForUrl(`https://${host}`)) || getProxyForUrl(`http://${host}`);
  return proxy === '' ? undefined : new HttpsProxyAgent(proxy);
}
