import { CompletionsApi, samplingFields } from './completions-api';
import type { GeneratingServer, TokensAsked, TokensGiven } from './generating-server';
import type { ServerConnection } from './server-connection';

const LOOK_MS = 5_000;
const WAY_OUT =
  'a server is needed that gives ids and log-probs of tokens: vLLM and forge serve by return_token_ids, llama.cpp by its log-probs';

/** A server with OpenAI's completions, whose weights are its own. */
export class OpenAiServer implements GeneratingServer {
  readonly address: string;
  readonly weights = null;
  private readonly api: CompletionsApi;
  /** Number of likeliest tokens to ask for: some servers give no log-prob of the drawn one without. */
  private likeliest = 0;

  constructor(
    private readonly connection: ServerConnection,
    model: string | undefined,
  ) {
    this.address = connection.address;
    this.api = new CompletionsApi(connection, model, WAY_OUT);
  }

  async look(signal: AbortSignal): Promise<void> {
    await this.connection.send('/v1/models', { timeoutMs: LOOK_MS, signal });
  }

  async generate(asked: TokensAsked, signal: AbortSignal): Promise<TokensGiven> {
    const { tokenIds, sampling, maxTokens, seed } = asked;
    const body = {
      ...{ model: await this.api.modelName(signal), prompt: tokenIds, max_tokens: maxTokens, seed },
      ...samplingFields(sampling),
      return_token_ids: true,
    };
    const ask = () => this.api.complete({ ...body, logprobs: this.likeliest }, signal);
    let choice = await ask();
    if (!choice.logprobs && this.likeliest === 0) {
      this.likeliest = 1;
      choice = await ask();
    }
    return this.api.tokensOf(choice, asked);
  }
}
