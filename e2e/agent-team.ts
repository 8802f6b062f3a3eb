import { randomUUID } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Sample } from '@forge/contracts';
import OpenAI from 'openai';

type Messages = OpenAI.ChatCompletionMessageParam[];

/** Pause before something is asked for again that was not there. */
const AGAIN_MS = 100;
const TURNS = 3;
/** A client of a machine that may restart sends its calls again for longer than it does by default. */
const PATIENT = { maxRetries: 12, timeout: 60_000 };
const PATIENCE_MS = 120_000;
/** Answers that say that a session has ended, or its group was given up. */
const OVER = 409;

const CALCULATOR: OpenAI.ChatCompletionTool = {
  type: 'function',
  function: {
    name: 'calculator',
    description: 'Computes.',
    parameters: { type: 'object', properties: { expression: { type: 'string' } }, required: ['expression'] },
  },
};

/**
 * Agents that run elsewhere: each takes sessions of a run one group after the other, calls by the SDK of OpenAI with a tool,
 * gives a reward, and ends.
 */
export class AgentTeam {
  /** Token ids of the answers of each session, in their order. */
  readonly answers = new Map<string, number[][]>();
  /** Errors that reached an agent. */
  readonly failures: unknown[] = [];
  /** Sessions that were over before their agent was done with them. */
  overtaken = 0;
  /** Sessions that agents have ended. */
  ended = 0;
  /** Sessions that agents have, and most at once. */
  atWork = 0;
  mostAtWork = 0;
  /** Calls that are waited for. */
  underWay = 0;
  /** Requests by which calls were sent again. */
  sentAgain = 0;
  private isStopped = false;
  private working: Promise<unknown> = Promise.resolve();

  private requests = 0;

  /** @param addresses of gateways, without `/v1`: each request goes to the next one. */
  constructor(
    private readonly addresses: readonly string[],
    private readonly token: string,
  ) {}

  start(agents: number): void {
    const work = async (): Promise<void> => {
      while (!this.isStopped) await this.group().catch((error: unknown) => this.failures.push(error));
    };
    this.working = Promise.all(Array.from({ length: agents }, work));
  }

  /** Takes no more sessions; resolves when those that are taken are ended. */
  async stop(): Promise<void> {
    this.isStopped = true;
    await this.working;
  }

  private async group(): Promise<void> {
    const taken = await this.tell('start_session', {}, this.token);
    if (taken === null) return;
    const { sample, sessions } = taken as {
      sample: Sample;
      sessions: { session_id: string; session_api_key: string }[];
    };
    const rollOut = async (id: string, key: string): Promise<void> => {
      this.atWork += 1;
      this.mostAtWork = Math.max(this.mostAtWork, this.atWork);
      try {
        if (await this.rollOut(sample, id, key)) this.ended += 1;
        else {
          this.overtaken += 1;
          this.answers.delete(id);
        }
      } finally {
        this.atWork -= 1;
      }
    };
    await Promise.all(sessions.map((one) => rollOut(one.session_id, one.session_api_key)));
  }

  /** Whether the session came to its end by its agent. */
  private async rollOut({ prompt, answer }: Sample, sessionId: string, key: string): Promise<boolean> {
    const client = new OpenAI({
      baseURL: `${this.addresses[0]}/v1`,
      apiKey: key,
      ...PATIENT,
      fetch: (url, init) => this.fetch(url, init),
    });
    const messages: Messages = [{ role: 'user', content: String(prompt) }];
    const answers: number[][] = [];
    this.answers.set(sessionId, answers);
    let said = '';
    for (let turn = 0; turn < TURNS; turn++) {
      const called = await this.call(client, messages);
      if (called === 'over') return false;
      answers.push(called.tokenIds);
      messages.push(called.message);
      said = called.message.content ?? '';
      const { tool_calls: calls = [] } = called.message;
      if (calls.length === 0) break;
      for (const { id, ...one } of calls)
        messages.push({ role: 'tool', tool_call_id: id, content: computed(one) });
    }
    const reward = said.trim() === answer ? 1 : said.length / 100;
    if ((await this.tell('set_reward', { reward }, key)) === null) return false;
    return (await this.tell('end_session', {}, key)) !== null;
  }

  private async call(
    client: OpenAI,
    messages: Messages,
  ): Promise<{ message: OpenAI.ChatCompletionMessage; tokenIds: number[] } | 'over'> {
    this.underWay += 1;
    try {
      const asked = { model: 'gpt-5', messages: [...messages], tools: [CALCULATOR], return_token_ids: true };
      const { choices } = await client.chat.completions.create(asked);
      const { message, token_ids: tokenIds } = choices[0] as (typeof choices)[0] & { token_ids: number[] };
      return { message, tokenIds };
    } catch (error) {
      if (error instanceof OpenAI.APIError && error.code === 'session_over') return 'over';
      throw error;
    } finally {
      this.underWay -= 1;
    }
  }

  /**
   * Posts to a route of sessions until it is answered; null when the session is over, or nothing is taken any more.
   *
   * @throws {Error} naming an answer that no agent should get, or that there was none for two minutes.
   */
  private async tell(route: string, body: object, key: string): Promise<unknown> {
    const headers = {
      'content-type': 'application/json',
      authorization: `Bearer ${key}`,
      'idempotency-key': randomUUID(),
    };
    let answeredAt = performance.now();
    for (;;) {
      const init = { method: 'POST', headers, body: JSON.stringify(body) };
      const response = await fetch(`${this.nextAddress()}/rl/${route}`, init).catch(() => null);
      if (response?.ok) return response.json();
      if (response?.status === OVER || (route === 'start_session' && this.isStopped)) return null;
      if (response?.status === 429) answeredAt = performance.now();
      else if (response !== null && response.status !== 503)
        throw new Error(`${route} was answered ${response.status}: ${await response.text()}`);
      if (performance.now() - answeredAt > PATIENCE_MS) throw new Error(`${route} was not answered`);
      await sleep(AGAIN_MS);
    }
  }

  private nextAddress(): string {
    return this.addresses[this.requests++ % this.addresses.length]!;
  }

  /** A request of a client, sent to the next gateway. */
  private fetch(url: string | URL | Request, init?: RequestInit): Promise<Response> {
    const { pathname } = new URL(url instanceof Request ? url.url : url);
    if (Number(new Headers(init?.headers).get('x-stainless-retry-count') ?? 0) > 0) this.sentAgain += 1;
    return fetch(this.nextAddress() + pathname, init);
  }
}

function computed(call: object): string {
  const { function: called } = call as OpenAI.ChatCompletionMessageFunctionToolCall;
  const { expression } = JSON.parse(called.arguments) as { expression?: unknown };
  const [, a, b] = /^(\d+)\*(\d+)$/.exec(String(expression)) ?? [];
  return a === undefined ? 'Error: only products of two numbers' : String(Number(a) * Number(b));
}
