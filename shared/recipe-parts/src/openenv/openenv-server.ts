import type { OpenEnvConfig } from '@forge/config';
import { proxiedFetch } from '@forge/downloads';
import { ForgeError } from '@forge/errors';
import { z } from 'zod';
import { boundedText, mayPass, reasonOf } from '../endpoint';
import { actionForm, type ActionForm, type JsonSchema } from './action-form';
import { EpisodeSocket, Lost } from './episode-socket';

const MAX_SCHEMA_BYTES = 2 ** 20;
const PING_MS = 20_000;

const answer = z.object({ action: z.record(z.string(), z.unknown()) });

/** An OpenEnv server: the form of its actions, and a socket for each episode. */
export class OpenEnvServer {
  readonly address: string;
  private readonly headers: Record<string, string>;
  private readonly fetch = proxiedFetch();
  private known: Promise<{ schema: JsonSchema; form: ActionForm }> | null = null;

  constructor(
    private readonly config: OpenEnvConfig,
    key: string | null,
    private readonly pingMs: number = PING_MS,
  ) {
    this.address = config.url.replace(/\/+$/, '');
    this.headers = key === null ? {} : { authorization: `Bearer ${key}` };
  }

  /**
   * Schema and form of its actions, asked for once.
   *
   * @throws {Lost} where the server does not answer now.
   * @throws {ForgeError} CONTRACT_UNAUTHORIZED, CONFIG_INVALID for an address or key that is refused, or a recipe that does not
   *   fit the schema; CONTRACT_INVALID_MESSAGE for what is no schema.
   */
  async action(): Promise<{ schema: JsonSchema; form: ActionForm }> {
    const asked = (this.known ??= this.askSchema());
    asked.catch(() => (this.known = null));
    return asked;
  }

  /** A socket for an episode, as `EpisodeSocket.connect`. */
  connect(signal: AbortSignal): Promise<EpisodeSocket> {
    const { connectTimeoutMs, timeoutMs, maxMessageMb } = this.config;
    const { headers, pingMs } = this;
    const address = `${this.address.replace(/^http/, 'ws')}/ws`;
    const bounds = { connectTimeoutMs, timeoutMs, maxMessageBytes: maxMessageMb * 2 ** 20, pingMs };
    return EpisodeSocket.connect({ address, headers, ...bounds }, signal);
  }

  private async askSchema(): Promise<{ schema: JsonSchema; form: ActionForm }> {
    const { connectTimeoutMs, action } = this.config;
    let response: Response;
    let text: string | null;
    try {
      response = await this.fetch(`${this.address}/schema`, {
        headers: this.headers,
        // Nobody but the server itself gets the key.
        redirect: 'manual',
        signal: AbortSignal.timeout(connectTimeoutMs),
      });
      text = await boundedText(response, MAX_SCHEMA_BYTES);
    } catch (error) {
      throw new Lost(`does not answer (${reasonOf(error, connectTimeoutMs)})`);
    }
    if (!response.ok) throw this.refusal(response.status);
    const parsed = answer.safeParse(jsonOf(text ?? ''));
    if (!parsed.success) {
      const message =
        'found no schema at /schema, expected { action: { properties } }; correct url of the environment';
      throw new ForgeError('CONTRACT_INVALID_MESSAGE', message);
    }
    const schema = parsed.data.action;
    return { schema, form: actionForm(schema, action) };
  }

  private refusal(status: number): Error {
    if (mayPass(status)) return new Lost(`answers ${status}`);
    const { apiKeyEnv } = this.config;
    if (status !== 401 && status !== 403)
      return new ForgeError('CONFIG_INVALID', `answers ${status} to /schema; correct url of the environment`);
    const way =
      apiKeyEnv === undefined
        ? 'name the variable that has a key in apiKeyEnv'
        : `it does not take the key in ${apiKeyEnv}`;
    return new ForgeError('CONTRACT_UNAUTHORIZED', `answers ${status}; ${way}`);
  }
}

function jsonOf(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return null;
  }
}
