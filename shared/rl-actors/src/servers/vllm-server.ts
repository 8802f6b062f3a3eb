import { ForgeError } from '@forge/errors';
import { z } from 'zod';
import { COMPLETIONS, CompletionsApi, samplingFields } from './completions-api';
import type {
  GeneratingServer,
  ServedWeights,
  TokensAsked,
  TokensGiven,
  WeightsRoutes,
} from './generating-server';
import type { ServerConnection } from './server-connection';
import { ServerFault } from './server-fault';

const LOOK_MS = 5_000;
const WAY_OUT = 'vLLM from 0.11 on gives the ids by return_token_ids';
/** A token by whose log-prob two temperatures can be told apart, beyond rounding. */
const UNSURE = -0.5;
const ROUNDING = 0.02;
const resetSchema = z.object({ success: z.boolean() });
const infoSchema = z.object({ weight_version: z.string().nullish() });

/** vLLM's API server: OpenAI's completions, adapters by name, weights by the routes of its development mode. */
export class VllmServer implements GeneratingServer, WeightsRoutes {
  readonly address: string;
  readonly weights: WeightsRoutes = this;
  private readonly api: CompletionsApi;
  /** The weights it was given, where it can tell that it has them. */
  private given: string | null = null;
  /** Whether its log-probs are known to be scaled by the temperature. */
  private isScaled = false;

  constructor(
    private readonly connection: ServerConnection,
    model: string | undefined,
    readonly isBeside: boolean,
  ) {
    this.address = connection.address;
    this.api = new CompletionsApi(connection, model, WAY_OUT);
  }

  async look(signal: AbortSignal): Promise<void> {
    await this.connection.send('/health', { timeoutMs: LOOK_MS, signal });
    if (this.given === null) return;
    const info = infoSchema.safeParse(
      await this.connection.ask('/weight_info', { timeoutMs: LOOK_MS, signal }),
    );
    const found = info.data?.weight_version;
    if (found !== this.given)
      throw new ServerFault(`has the weights ${found}, not ${this.given}`, { isLost: true });
  }

  async generate(asked: TokensAsked, signal: AbortSignal): Promise<TokensGiven> {
    const { tokenIds, sampling, maxTokens, seed, endTokenIds, weights } = asked;
    const choice = await this.complete(weights, signal, {
      ...{ prompt: tokenIds, max_tokens: maxTokens, seed, stop_token_ids: endTokenIds },
      ...samplingFields(sampling),
      // Left out, it would be as the generation_config.json of the model says.
      ...{ top_k: sampling.topK, min_p: 0, repetition_penalty: 1, skip_special_tokens: false },
      ...{ logprobs: 0, return_token_ids: true },
    });
    const drawn = { ...this.api.tokensOf(choice, asked), isEnded: false };
    if (!this.isScaled && ![0, 1].includes(sampling.temperature))
      await this.checkScaled(asked, drawn, signal);
    return drawn;
  }

  async put({ name, path }: ServedWeights, signal: AbortSignal): Promise<void> {
    if (this.isBeside) return this.load(name, path, signal);
    this.given = null;
    await this.post('/collective_rpc', { method: 'reload_weights', kwargs: { weights_path: path } }, signal);
    const answer = await this.connection.ask('/reset_prefix_cache', { body: {}, signal });
    const reset = resetSchema.safeParse(answer);
    if (reset.success && !reset.data.success)
      throw new ServerFault('keeps the prefixes of the weights before');
    // Releases before 0.32 can't tell what they have.
    const isNamed = await this.post('/update_weight_version', { new_version: name }, signal).then(
      () => true,
      (error: unknown) => {
        if (statusOf(error) === 404) return false;
        throw error;
      },
    );
    this.given = isNamed ? name : null;
  }

  async drop(name: string, signal: AbortSignal): Promise<void> {
    await this.post('/v1/unload_lora_adapter', { lora_name: name }, signal);
  }

  async score(tokenIds: readonly number[], name: string | null, signal: AbortSignal): Promise<number[]> {
    const asked = { prompt: tokenIds, max_tokens: 1, temperature: 0, prompt_logprobs: 0 };
    const { prompt_logprobs: scored } = await this.complete(name, signal, asked);
    if (!scored) throw this.connection.unreadable(COMPLETIONS, 'no prompt_logprobs', WAY_OUT);
    return tokenIds.slice(1).map((id, t) => scored[t + 1]?.[id]?.logprob ?? NaN);
  }

  async pause(signal: AbortSignal): Promise<void> {
    await this.post('/pause?mode=abort', {}, signal);
  }

  async resume(signal: AbortSignal): Promise<void> {
    await this.post('/resume', {}, signal);
  }

  /** Checks that log-probs are those of logits / temperature, which a server does not tell, by those of the prompt. */
  private async checkScaled(
    { tokenIds, sampling, weights }: TokensAsked,
    drawn: TokensGiven,
    signal: AbortSignal,
  ): Promise<void> {
    if (!drawn.logprobs.some((logprob) => logprob < UNSURE)) return;
    const scored = await this.score([...tokenIds, ...drawn.tokenIds], weights, signal);
    const raw = scored.slice(-drawn.tokenIds.length);
    const differences = drawn.logprobs.map((logprob, t) => Math.abs(logprob - raw[t]!));
    if (differences.some((difference) => !(difference < ROUNDING))) {
      this.isScaled = true;
      return;
    }
    const message = `sampling.temperature: found ${sampling.temperature}, but ${this.address} gives log-probs of temperature 1; start it with --logprobs-mode processed_logprobs, or set sampling.temperature=1`;
    throw new ForgeError('CONFIG_INVALID', message, { field: 'sampling.temperature' });
  }

  private async complete(weights: string | null, signal: AbortSignal, asked: object) {
    const isAdapter = this.isBeside && weights !== null;
    const model = isAdapter ? weights : await this.api.modelName(signal);
    try {
      return await this.api.complete({ model, ...asked }, signal);
    } catch (error) {
      if (!isAdapter || statusOf(error) !== 404) throw error;
      throw new ServerFault(`has no adapter ${model}`, { isLost: true });
    }
  }

  private async load(name: string, path: string, signal: AbortSignal): Promise<void> {
    try {
      await this.post('/v1/load_lora_adapter', { lora_name: name, lora_path: path }, signal);
    } catch (error) {
      // A call before this one has loaded it, whose answer got lost.
      if (!/already/.test(ForgeError.from(error).message)) throw error;
    }
  }

  private post(path: string, body: object, signal: AbortSignal): Promise<string> {
    return this.connection.send(path, { body, signal });
  }
}

function statusOf(error: unknown): unknown {
  return error instanceof ForgeError ? (error.details as { status?: unknown }).status : undefined;
}
