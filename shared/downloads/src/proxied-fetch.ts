import type { EnvHttpProxyAgent, RequestInit } from 'undici';

/** Bounds of a request in milliseconds; left out: none but those of its signal. */
export interface FetchBounds {
  /** For a connection, and again for the head of the answer. */
  answerMs?: number;
  /** For a silence within the answer. */
  silenceMs?: number;
}

/** A `fetch` through the proxies that HTTPS_PROXY, HTTP_PROXY and NO_PROXY name. */
export function proxiedFetch({ answerMs = 0, silenceMs = 0 }: FetchBounds = {}): (
  url: string | URL,
  init: RequestInit,
) => Promise<Response> {
  let proxies: EnvHttpProxyAgent | null = null;
  return async (url, init) => {
    const undici = await import('undici');
    proxies ??= new undici.EnvHttpProxyAgent({
      headersTimeout: answerMs,
      bodyTimeout: silenceMs,
      connect: { timeout: answerMs },
    });
    return (await undici.fetch(url, { ...init, dispatcher: proxies })) as unknown as Response;
  };
}
