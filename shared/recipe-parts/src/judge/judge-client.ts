import { proxiedFetch } from '@forge/downloads';
import { ForgeError } from '@forge/errors';
import { boundedText, mayPass, reasonOf } from '../endpoint';
import { RequestBudget, type Clock } from './request-budget';

export interface JudgeClientOptions {
  /** Address of the endpoint up to its version, as in https://api.openai.com/v1. */
  url: string;
  /** For an attempt, its answer included. */
  timeoutMs: number;
  attempts: number;
  requestsPerMinute: number;
  parallel: number;
  /** Variable of the environment that has the key, for messages. */
  apiKeyEnv?: string | undefined;
}

const FIRST_DELAY_MS = 500;
const MAX_DELAY_MS = 60_000;
const MAX_ANSWER_BYTES = 2 ** 20;
/** Characters of an answer that a message shows. */
const SHOWN = 300;

/** A failed attempt that may pass; with the time that the server asks for. */
class Fault extends Error {
  constructor(
    reason: string,
    readonly delayMs: number | null = null,
  ) {
    super(reason);
  }
}

/** An endpoint that completes chats as OpenAI's does, asked through the proxies of the environment. */
export class JudgeClient {
  private readonly address: string;
  private readonly budget: RequestBudget;
  private readonly fetch = proxiedFetch();

  constructor(
    private readonly options: JudgeClientOptions,
    private readonly key: string | null,
    private readonly clock: Clock,
  ) {
    this.address = `${options.url.replace(/\/+$/, '')}/chat/completions`;
    this.budget = new RequestBudget(options.requestsPerMinute, options.parallel, clock);
  }

  /**
   * The text that answers `body`, the JSON of a request; empty where the answer has none.
   *
   * @throws {ForgeError} TRANSIENT_JUDGE_UNREACHABLE after `attempts` attempts without an answer; CONTRACT_UNAUTHORIZED for a
   *   key that is not taken; CONFIG_INVALID for a request that is refused.
   */
  async ask(body: string): Promise<string> {
    for (let attempt = 1; ; attempt++) {
      try {
        return await this.budget.spend(() => this.attempt(body));
      } catch (error) {
        if (!(error instanceof Fault)) throw error;
        const delayMs = error.delayMs ?? FIRST_DELAY_MS * 2 ** (attempt - 1);
        if (attempt >= this.options.attempts || delayMs > MAX_DELAY_MS)
          throw this.unreachable(error, attempt);
        await this.clock.sleep(delayMs);
      }
    }
  }

  private async attempt(body: string): Promise<string> {
    const { timeoutMs } = this.options;
    const authorization = this.key === null ? {} : { authorization: `Bearer ${this.key}` };
    let response: Response;
    let text: string;
    try {
      response = await this.fetch(this.address, {
        method: 'POST',
        headers: { 'content-type': 'application/json', ...authorization },
        body,
        // Nobody but the endpoint itself gets completions and the key.
        redirect: 'manual',
        signal: AbortSignal.timeout(timeoutMs),
      });
      const read = await boundedText(response, MAX_ANSWER_BYTES);
      if (read === null) throw new Fault(`answers more than ${MAX_ANSWER_BYTES} bytes`);
      text = read;
    } catch (error) {
      if (error instanceof Fault) throw error;
      throw new Fault(`does not answer (${reasonOf(error, timeoutMs)})`);
    }
    if (response.ok) return contentOf(text);
    if (mayPass(response.status)) throw new Fault(`answers ${response.status}`, askedDelayMs(response));
    throw this.refused(response.status, text);
  }

  private unreachable({ message: reason }: Fault, attempts: number): ForgeError {
    const message = `reward 'judge': ${this.address} ${reason}, after ${attempts} ${attempts === 1 ? 'attempt' : 'attempts'}; the completion has no reward`;
    return new ForgeError('TRANSIENT_JUDGE_UNREACHABLE', message, {
      url: this.address,
      why: reason,
      attempts,
    });
  }

  private refused(status: number, text: string): ForgeError {
    const answers = `reward 'judge': ${this.address} answers ${status}`;
    const details = { url: this.address, status };
    if (status === 401 || status === 403) {
      // Without the answer, which may repeat a part of the key.
      const { apiKeyEnv } = this.options;
      const way =
        apiKeyEnv === undefined
          ? 'name the variable that has a key in apiKeyEnv'
          : `it does not take the key in ${apiKeyEnv}`;
      return new ForgeError('CONTRACT_UNAUTHORIZED', `${answers}; ${way}`, details);
    }
    const shown = text.slice(0, SHOWN).replaceAll(/\s+/g, ' ');
    const message = `${answers}: ${shown}; correct url, model or prompt of the reward`;
    return new ForgeError('CONFIG_INVALID', message, details);
  }
}

/** Text of the first choice of a chat completion. */
function contentOf(text: string): string {
  let choices: unknown;
  try {
    ({ choices } = JSON.parse(text) as { choices?: unknown });
  } catch {
    throw new Fault('answers what is not JSON');
  }
  const [first] = Array.isArray(choices) ? (choices as { message?: { content?: unknown } }[]) : [];
  if (typeof first?.message !== 'object') throw new Fault('answers without a choice');
  const content: unknown = first.message?.content;
  return typeof content === 'string' ? content : '';
}

/** @see RFC 9110, 10.2.3; a date is as good as no answer: the next delay comes soon enough. */
function askedDelayMs(response: Response): number | null {
  const after = response.headers.get('retry-after') ?? '';
  return /^\s*\d+(\.\d+)?\s*$/.test(after) ? Number(after) * 1000 : null;
}
