import type { GenerationServer } from '@forge/config';
import { proxiedFetch } from '@forge/downloads';
import { ForgeError } from '@forge/errors';
import { boundedText, mayPass, reasonOf } from '@forge/recipe-parts';
import { ServerFault } from './server-fault';

const MAX_ANSWER_BYTES = 256 * 2 ** 20;
/** Characters of an answer that a message shows. */
const SHOWN = 300;

export interface ServerRequest {
  /** JSON of the body; left out: a GET. */
  body?: object;
  timeoutMs?: number;
  signal: AbortSignal;
}

/** JSON to and from a server that generates, through the proxies of the environment. */
export class ServerConnection {
  readonly address: string;
  private readonly fetch = proxiedFetch();
  private readonly headers: Record<string, string>;

  constructor(
    url: string,
    private readonly config: Pick<GenerationServer, 'kind' | 'apiKeyEnv' | 'timeoutMs'>,
    key: string | null,
  ) {
    this.address = url.replace(/\/+$/, '');
    this.headers = key === null ? {} : { authorization: `Bearer ${key}` };
  }

  /**
   * The JSON that answers a request; null for a good answer without one.
   *
   * @throws {ServerFault} where it does not answer, breaks off, or answers what may pass.
   * @throws {ForgeError} CANCELLED; CONTRACT_UNAUTHORIZED; CONFIG_INVALID for a request that is refused, with the server's
   *   words; CONTRACT_GENERATOR_UNREADABLE for an answer that is not JSON; NUMERIC_NON_FINITE for one with NaN.
   */
  async ask(path: string, request: ServerRequest): Promise<unknown> {
    const text = await this.send(path, request);
    return text === '' ? null : this.parsed(path, text);
  }

  /**
   * The same where nobody looks for JSON: the text of the answer.
   *
   * @throws as `ask`.
   */
  async send(
    path: string,
    { body, timeoutMs = this.config.timeoutMs, signal }: ServerRequest,
  ): Promise<string> {
    const { status, text, retryAfter } = await this.exchange(path, body, timeoutMs, signal);
    if (status < 300) return text;
    const said = wordsOf(text);
    if (mayPass(status))
      throw new ServerFault(`answers ${status} to ${path}${said}`, {
        isOfRequest: status === 500,
        delayMs: secondsMs(retryAfter),
      });
    throw this.refused(path, status, said);
  }

  /** The error of an answer that lacks what is needed, or has it in another form. */
  unreadable(path: string, found: string, wayOut: string): ForgeError {
    const message = `${this.address}${path}: found ${found}; ${wayOut}`;
    return new ForgeError('CONTRACT_GENERATOR_UNREADABLE', message, { url: this.address, path });
  }

  private async exchange(
    path: string,
    body: object | undefined,
    timeoutMs: number,
    signal: AbortSignal,
  ): Promise<{ status: number; text: string; retryAfter: string }> {
    const late = AbortSignal.timeout(timeoutMs);
    try {
      const response = await this.fetch(`${this.address}${path}`, {
        ...(body !== undefined && { method: 'POST', body: JSON.stringify(body) }),
        headers: { ...this.headers, ...(body !== undefined && { 'content-type': 'application/json' }) },
        // Nobody but the server itself gets the key.
        redirect: 'manual',
        signal: AbortSignal.any([signal, late]),
      });
      const text = await boundedText(response, MAX_ANSWER_BYTES);
      if (text !== null)
        return { status: response.status, text, retryAfter: response.headers.get('retry-after') ?? '' };
    } catch (error) {
      if (signal.aborted) throw reasonFor(signal);
      const reason = late.aborted ? `nothing within ${timeoutMs} ms` : reasonOf(error, timeoutMs);
      throw new ServerFault(`does not answer ${path} (${reason})`, { isLost: true });
    }
    throw this.unreadable(path, `more than ${MAX_ANSWER_BYTES} bytes`, 'lower sampling.maxTokens');
  }

  private parsed(path: string, text: string): unknown {
    try {
      return JSON.parse(text);
    } catch {
      if (/\b(NaN|Infinity)\b/.test(text)) throw nonFinite(this.address);
      const shown = JSON.stringify(text.slice(0, SHOWN));
      throw this.unreadable(
        path,
        `${shown}, which is not JSON`,
        `see that policy.engine.${this.config.kind}.url is that of the server`,
      );
    }
  }

  private refused(path: string, status: number, said: string): ForgeError {
    const { kind, apiKeyEnv } = this.config;
    const answers = `${this.address}${path} answers ${status}`;
    const details = { url: this.address, path, status };
    if (status === 401 || status === 403) {
      // Without the answer, which may repeat a part of the key.
      const way =
        apiKeyEnv === undefined
          ? `name the variable that has a key in policy.engine.${kind}.apiKeyEnv`
          : `it does not take the key in ${apiKeyEnv}`;
      return new ForgeError('CONTRACT_UNAUTHORIZED', `${answers}; ${way}`, details);
    }
    const message = `${answers}${said}; see that policy.engine names the server and how it was started (docs/generators.md)`;
    return new ForgeError('CONFIG_INVALID', message, details);
  }
}

export function nonFinite(address: string): ForgeError {
  const message = `${address}: a generated token has a log-prob that is no number: the weights or activations overflowed`;
  return new ForgeError('NUMERIC_NON_FINITE', message);
}

/** The cause of an abort, as an error of ours. */
export function reasonFor(signal: AbortSignal): Error {
  const { reason } = signal as { reason: unknown };
  if (reason instanceof ServerFault || reason instanceof ForgeError) return reason;
  return new ForgeError('CANCELLED', 'generation was cancelled');
}

function wordsOf(text: string): string {
  const shown = text.slice(0, SHOWN).replaceAll(/\s+/g, ' ').trim();
  return shown === '' ? '' : `: ${shown}`;
}

/** @see RFC 9110, 10.2.3; a date is as good as no answer: the next delay comes soon enough. */
function secondsMs(after: string): number | null {
  return /^\s*\d+(\.\d+)?\s*$/.test(after) ? Number(after) * 1000 : null;
}
