import { setTimeout as sleep } from 'node:timers/promises';
import { ForgeError } from '@forge/errors';
import { cancelled, type DownloadWatch } from './download-watch';
import { proxiedFetch } from './proxied-fetch';

/** A kind of server that files come from, and its part in errors. */
export interface DownloadSource {
  unreachable: 'TRANSIENT_HUB_UNREACHABLE' | 'TRANSIENT_INDEX_UNREACHABLE';
  /** How a user does without the server: the end of a sentence. */
  wayOut: string;
  /** Variable of the environment that names where its files are kept. */
  directoryVariable: string;
  /** Whether something else than this server may have been meant: it is not asked again before it has answered once. */
  isGuess?: boolean;
  /** The error for an answer that the server will give again. */
  refusal: (response: Response) => Promise<ForgeError>;
}

/** The time a server has to begin an answer. */
const ANSWER_MS = 20_000;
/** A connection that is silent for so long is broken. */
const SILENCE_MS = 30_000;
const ATTEMPTS = 5;
const FIRST_DELAY_MS = 500;
/** A server that asks for more patience than this is not waited for. */
const MAX_DELAY_MS = 600_000;

const CERTIFICATE = /CERT|SIGNATURE|ISSUER/;
const REASONS: Readonly<Record<string, string>> = {
  UND_ERR_HEADERS_TIMEOUT: `nothing within ${ANSWER_MS / 1000} s`,
  UND_ERR_CONNECT_TIMEOUT: `nothing within ${ANSWER_MS / 1000} s`,
  UND_ERR_BODY_TIMEOUT: `nothing for ${SILENCE_MS / 1000} s`,
  UND_ERR_SOCKET: 'the server closed it',
};

const fetchProxied = proxiedFetch({ answerMs: ANSWER_MS, silenceMs: SILENCE_MS });

/**
 * A `fetch` whose responses are good ones. It goes through the proxies that HTTPS_PROXY, HTTP_PROXY and NO_PROXY name. A fault
 * that may pass is waited for, as long as the server asks for by `Retry-After`. A user and a password in an address go as a
 * header, and to no other server it may redirect to.
 *
 * @throws {ForgeError} from the `fetch`: what `source` says is unreachable or refused; CANCELLED.
 */
export function patientFetch(
  source: DownloadSource,
  { say, signal }: DownloadWatch,
  wait = (ms: number): Promise<unknown> => sleep(ms, undefined, { signal }).catch(() => undefined),
): typeof fetch {
  let hasAnswered = false;
  return async (input, init) => {
    const url = new URL(input instanceof Request ? input.url : input);
    const { origin, host } = url;
    const headers = { ...Object.fromEntries(new Headers(init?.headers)), ...takeCredentials(url) };
    for (let attempt = 1; ; attempt += 1) {
      if (signal?.aborted) throw cancelled();
      const { response, reason } = await answerOf(url, headers, signal);
      hasAnswered ||= response !== null;
      if (response?.ok) return response;
      if (response !== null && !mayPass(response.status)) throw await source.refusal(response);
      const askedMs = response === null ? null : askedDelayMs(response, Date.now());
      const delayMs = askedMs ?? FIRST_DELAY_MS * 2 ** (attempt - 1);
      await response?.body?.cancel();
      const isLast = attempt === ATTEMPTS || (source.isGuess === true && !hasAnswered);
      if (isLast || delayMs > MAX_DELAY_MS || CERTIFICATE.test(reason)) {
        const message = `${origin} ${reason}, after ${attempt} ${attempt === 1 ? 'attempt' : 'attempts'}; ${whatNow(reason, askedMs)}, ${source.wayOut}`;
        throw new ForgeError(source.unreachable, message, { origin, why: reason, attempts: attempt });
      }
      say?.(`${host} ${reason}; asking again in ${Math.ceil(delayMs / 1000)} s`);
      await wait(delayMs);
    }
  };
}

/** The header for the user and the password of an address, which loses them. */
function takeCredentials(url: URL): Record<string, string> {
  const { username, password } = url;
  if (username === '') return {};
  const pair = `${decodeURIComponent(username)}:${decodeURIComponent(password)}`;
  Object.assign(url, { username: '', password: '' });
  return { authorization: `Basic ${Buffer.from(pair).toString('base64')}` };
}

/** The response, and in words what is wrong with it, or why there is none. */
async function answerOf(
  url: URL,
  headers: Record<string, string>,
  signal: AbortSignal | undefined,
): Promise<{ response: Response | null; reason: string }> {
  try {
    const init = { headers: { 'user-agent': 'forge', ...headers }, signal: signal ?? null };
    const response = await fetchProxied(url, init);
    return { response, reason: `answers ${response.status}` };
  } catch (error) {
    if (signal?.aborted) throw cancelled();
    return { response: null, reason: `does not answer (${reasonOf(error)})` };
  }
}

/** The reason of a failed connection, which `fetch` hides in a cause. */
export function reasonOf(error: unknown): string {
  const { cause } = error as { cause?: { code?: string; message?: string } };
  const reason = cause?.code ?? cause?.message ?? (error instanceof Error ? error.message : String(error));
  return REASONS[reason] ?? reason;
}

function mayPass(status: number): boolean {
  return status === 408 || status === 429 || status >= 500;
}

/** @see RFC 9110, 10.2.3, and the `t` of the RateLimit header, in seconds. */
function askedDelayMs(response: Response, nowMs: number): number | null {
  const after = response.headers.get('retry-after');
  const seconds = after ?? /;\s*t=(\d+)/.exec(response.headers.get('ratelimit') ?? '')?.[1];
  if (seconds === undefined || response.status === 500) return null;
  if (/^\s*\d+\s*$/.test(seconds)) return Number(seconds) * 1000;
  const at = Date.parse(seconds);
  return Number.isNaN(at) ? null : Math.max(0, at - nowMs);
}

function whatNow(reason: string, askedMs: number | null): string {
  if (CERTIFICATE.test(reason)) return 'name the certificates of your network in NODE_EXTRA_CA_CERTS';
  if (askedMs !== null) return `it asks to come back in ${Math.ceil(askedMs / 1000)} s`;
  return 'try again later, behind a proxy set HTTPS_PROXY';
}
