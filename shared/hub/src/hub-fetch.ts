import { setTimeout as sleep } from 'node:timers/promises';
import type { HubEnvironment } from '@forge/config';
import { ForgeError } from '@forge/errors';
import type { DownloadWatch } from './download-watch';
import { refusalOf } from './refusal';
import type { Repository } from './repository';

/** The time a hub has to begin an answer. */
const ANSWER_MS = 20_000;
const ATTEMPTS = 5;
const FIRST_DELAY_MS = 500;
/** A hub that asks for more patience than this is not waited for. */
const MAX_DELAY_MS = 600_000;
const AGAIN = new Set([408, 429, 500, 502, 503, 504]);

/**
 * A `fetch` that asks a hub about one repository. What may go by itself is tried again, as long as the hub asks for by
 * `Retry-After`; the token goes to the hub alone, and not to where it redirects.
 *
 * @throws {ForgeError} from the `fetch`: TRANSIENT_HUB_UNREACHABLE; CANCELLED; and as `refusalOf` for what is refused.
 */
export function hubFetch(
  repository: Repository,
  environment: HubEnvironment,
  { say, signal }: DownloadWatch,
): typeof fetch {
  const { origin, host } = new URL(environment.endpoint);
  return async (input, init) => {
    const url = new URL(input instanceof Request ? input.url : input);
    const headers = new Headers(init?.headers);
    const { token } = environment;
    if (token !== null && url.origin === origin) headers.set('authorization', `Bearer ${token.value}`);
    headers.set('user-agent', 'forge');
    for (let attempt = 1; ; attempt += 1) {
      const answer = await answerOf(url, { ...init, headers }, signal);
      if (answer instanceof Response && answer.ok) return answer;
      if (answer instanceof Response && !AGAIN.has(answer.status))
        throw await refusalOf(answer, repository, environment);
      const reason = answer instanceof Response ? `answers ${answer.status}` : `does not answer (${answer})`;
      const asked = answer instanceof Response ? askedDelayMs(answer, Date.now()) : null;
      const delayMs = asked ?? FIRST_DELAY_MS * 2 ** (attempt - 1);
      if (answer instanceof Response) await answer.body?.cancel();
      if (attempt === ATTEMPTS || delayMs > MAX_DELAY_MS)
        throw unreachable(environment, reason, attempt, asked);
      say?.(`${host} ${reason}; asking again in ${Math.ceil(delayMs / 1000)} s`);
      await sleep(delayMs, undefined, { signal }).catch(() => undefined);
    }
  };
}

/** The response, or in words why there is none. */
async function answerOf(
  url: URL,
  init: RequestInit,
  signal: AbortSignal | undefined,
): Promise<Response | string> {
  if (signal?.aborted) throw cancelled();
  const late = new AbortController();
  const timer = setTimeout(() => {
    late.abort();
  }, ANSWER_MS);
  try {
    const signals = [late.signal, signal, init.signal].filter((one) => one !== undefined && one !== null);
    return await fetch(url, { ...init, signal: AbortSignal.any(signals) });
  } catch (error) {
    if (signal?.aborted) throw cancelled();
    return late.signal.aborted ? `nothing within ${ANSWER_MS / 1000} s` : reasonOf(error);
  } finally {
    clearTimeout(timer);
  }
}

/** The reason of a failed connection, which `fetch` hides in a cause. */
export function reasonOf(error: unknown): string {
  const { cause } = error as { cause?: { code?: string; message?: string } };
  return cause?.code ?? cause?.message ?? (error instanceof Error ? error.message : String(error));
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

export function cancelled(): ForgeError {
  return new ForgeError(
    'CANCELLED',
    'the download was stopped; what has arrived is kept, and the same command goes on from there',
  );
}

function unreachable(
  { endpoint, cacheDir }: HubEnvironment,
  reason: string,
  attempts: number,
  askedMs: number | null,
): ForgeError {
  const when =
    askedMs === null ? 'try again later' : `it asks to come back in ${Math.ceil(askedMs / 1000)} s`;
  const message = `${endpoint} ${reason}, after ${attempts} ${attempts === 1 ? 'attempt' : 'attempts'}; ${when}, set HF_HUB_OFFLINE=1 to use what ${cacheDir} has, or name a directory`;
  return new ForgeError('TRANSIENT_HUB_UNREACHABLE', message, { endpoint, why: reason, attempts });
}
