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
  /** Calls that are waited for. */
  underWay = 0;
  private isStopped = false;
  private working: Promise<unknown> = Promise.resolve();

  /** @param address of the gateway, without `/v1`. */
  constructor(
    private readonly address: string,
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
    if (taken.status !== 201) return;
    const { sample, sessions } = taken.body as {
      sample: Sample;
      sessions: { session_id: string; session_api_key: string }[];
    };
    await Promise.all(sessions.map((one) => this.rollOut(sample, one.session_id, one.session_api_key)));
  }

  private async rollOut({ prompt, answer }: Sample, sessionId: string, key: string): Promise<void> {
    const client = new OpenAI({ baseURL: `${this.address}/v1`, apiKey: key, ...PATIENT });
    const messages: Messages = [{ role: 'user', content: String(prompt) }];
    const answers: number[][] = [];
    this.answers.set(sessionId, answers);
    let said = '';
    for (let turn = 0; turn < TURNS; turn++) {
      const called = await this.call(client, messages);
      if (called === 'over') {
        this.overtaken += 1;
        this.answers.delete(sessionId);
        return;
      }
      answers.push(called.tokenIds);
      messages.push(called.message);
      said = called.message.content ?? '';
      const { tool_calls: calls = [] } = called.message;
      if (calls.length === 0) break;
      for (const { id, ...one } of calls)
        messages.push({ role: 'tool', tool_call_id: id, content: computed(one) });
    }
    await this.tell('set_reward', { reward: said.trim() === answer ? 1 : said.length / 100 }, key);
    await this.tell('end_session', {}, key);
    this.ended += 1;
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

  /** Posts to a route of sessions until it is answered; 429 once nothing is taken any more. */
  private async tell(route: string, body: object, key: string): Promise<{ status: number; body: unknown }> {
    const name = randomUUID();
    for (;;) {
      const response = await fetch(`${this.address}/rl/${route}`, {
        method: 'POST',
        headers: {
          'content-type': 'application/json',
          authorization: `Bearer ${key}`,
          'idempotency-key': name,
        },
        body: JSON.stringify(body),
      }).catch(() => null);
      const isThere = response !== null && response.status !== 503;
      if (isThere && (response.status !== 429 || this.isStopped))
        return { status: response.status, body: await response.json() };
      if (this.isStopped && route === 'start_session') return { status: 429, body: null };
      await sleep(AGAIN_MS);
    }
  }
}

function computed(call: object): string {
  const { function: called } = call as OpenAI.ChatCompletionMessageFunctionToolCall;
  const { expression } = JSON.parse(called.arguments) as { expression?: unknown };
  const [, a, b] = /^(\d+)\*(\d+)$/.exec(String(expression)) ?? [];
  return a === undefined ? 'Error: only products of two numbers' : String(Number(a) * Number(b));
}
