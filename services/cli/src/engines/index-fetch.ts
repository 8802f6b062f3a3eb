import { ForgeError } from '@forge/errors';
import { EnvHttpProxyAgent, fetch, type Response } from 'undici';

/** A server that says nothing for so long is taken for gone. */
const SILENCE_MS = 30_000;

/** Goes through the proxies that HTTPS_PROXY, HTTP_PROXY and NO_PROXY name. */
const dispatcher = new EnvHttpProxyAgent({
  headersTimeout: SILENCE_MS,
  bodyTimeout: SILENCE_MS,
  connect: { timeout: SILENCE_MS },
});

const CERTIFICATE = /CERT|SIGNATURE|ISSUER/;

/**
 * The answer to a GET, of any status. A user and a password in the address go as a header, and to no other server it may
 * redirect to.
 *
 * @throws {ForgeError} TRANSIENT_INDEX_UNREACHABLE.
 */
export async function indexFetch(address: URL, headers: Record<string, string> = {}): Promise<Response> {
  const { username, password } = address;
  const authorization =
    username === ''
      ? {}
      : {
          authorization: `Basic ${Buffer.from(`${decodeURIComponent(username)}:${decodeURIComponent(password)}`).toString('base64')}`,
        };
  const url = shown(address);
  try {
    return await fetch(url, { headers: { 'user-agent': 'forge', ...headers, ...authorization }, dispatcher });
  } catch (error) {
    throw unreachable(address, reasonOf(error), error);
  }
}

/** An address without its user and password, as it may be shown. */
export function shown(address: URL): string {
  const copy = new URL(address);
  copy.username = '';
  copy.password = '';
  return copy.href;
}

/** The reason of a failed connection, which `fetch` hides in a cause. */
export function reasonOf(error: unknown): string {
  const { cause } = error as { cause?: { code?: string; message?: string } };
  return cause?.code ?? cause?.message ?? (error instanceof Error ? error.message : String(error));
}

export function unreachable(address: URL, reason: string, cause?: unknown): ForgeError {
  const way = CERTIFICATE.test(reason)
    ? 'name the certificates of your network in NODE_EXTRA_CA_CERTS'
    : 'try again, what has arrived is kept; behind a proxy set HTTPS_PROXY, for a mirror PIP_INDEX_URL, without a network FORGE_LIBTENSORFLOW (docs/engines.md)';
  const message = `${shown(address)} can't be read (${reason}); ${way}`;
  return new ForgeError('TRANSIENT_INDEX_UNREACHABLE', message, { url: shown(address), reason }, { cause });
}

/** The error for an answer that the server will give again, or may change by itself. */
export function refused(address: URL, status: number): ForgeError {
  const url = shown(address);
  if (status === 401 || status === 403) {
    const message = `${url} answers ${status}; put user and password into PIP_INDEX_URL (https://USER:PASSWORD@HOST/simple), or ask those who run it`;
    return new ForgeError('CONTRACT_UNAUTHORIZED', message, { url, status });
  }
  if (status >= 500 || status === 408 || status === 429) return unreachable(address, `it answers ${status}`);
  const message = `${url} answers ${status}; name an index that has it by PIP_INDEX_URL`;
  return new ForgeError('CONFIG_INVALID', message, { url, status });
}
