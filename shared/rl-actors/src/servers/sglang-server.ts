import { ForgeError } from '@forge/errors';
import { z } from 'zod';
import type {
  GeneratingServer,
  ServedWeights,
  TokensAsked,
  TokensGiven,
  WeightsRoutes,
} from './generating-server';
import { drawnTokens } from './drawn-tokens';
import type { ServerConnection } from './server-connection';
import { ServerFault } from './server-fault';

const LOOK_MS = 5_000;
/** Its words where an adapter is not there, as after a restart. */
const NO_ADAPTER = /LoRA adapters are not loaded/;
/** A log-prob, the token, and its text. */
const scored = z.tuple([z.number().nullable(), z.int()], z.unknown());
const metaSchema = z.object({
  finish_reason: z.object({ type: z.string(), message: z.string().optional() }).nullish(),
  weight_version: z.union([z.string(), z.number()]).nullish(),
  output_token_logprobs: z.array(scored).optional(),
  input_token_logprobs: z.array(scored).optional(),
});
const generatedSchema = z.object({ meta_info: metaSchema });
const LOGPROBS = 'SGLang from 0.5 on answers return_logprob with them; see that url is that of SGLang itself';

/** SGLang's own API. */
export class SglangServer implements GeneratingServer, WeightsRoutes {
  readonly address: string;
  readonly weights: WeightsRoutes = this;

  constructor(
    private readonly connection: ServerConnection,
    readonly isBeside: boolean,
  ) {
    this.address = connection.address;
  }

  async look(signal: AbortSignal): Promise<void> {
    await this.connection.send('/health', { timeoutMs: LOOK_MS, signal });
  }

  async generate({ weights, ...asked }: TokensAsked, signal: AbortSignal): Promise<TokensGiven> {
    const { tokenIds, sampling, maxTokens, seed, endTokenIds } = asked;
    const { temperature, topK, topP, stop } = sampling;
    const meta = await this.native(
      {
        input_ids: tokenIds,
        sampling_params: {
          ...{ temperature, top_p: topP, top_k: topK === 0 ? -1 : topK, max_new_tokens: maxTokens, stop },
          ...{ stop_token_ids: endTokenIds, skip_special_tokens: false, no_stop_trim: true },
          ...{ min_p: 0, repetition_penalty: 1, presence_penalty: 0, frequency_penalty: 0 },
          sampling_seed: seed,
        },
        return_logprob: true,
        ...this.adapterOf(weights),
      },
      signal,
    );
    const reason = meta.finish_reason ?? { type: 'none' };
    this.checkWeights(meta.weight_version, weights);
    const isInterrupted = reason.type === 'abort';
    const drawn = meta.output_token_logprobs ?? (isInterrupted ? [] : undefined);
    const rules = { isInterrupted, isEnded: false, maxTokens, wayOut: LOGPROBS };
    return drawnTokens(this.connection, '/generate', rules, {
      tokenIds: drawn?.map(([, token]) => token),
      logprobs: drawn?.map(([logprob]) => logprob),
    });
  }

  async put({ name, path }: ServedWeights, signal: AbortSignal): Promise<void> {
    const route = this.isBeside ? '/load_lora_adapter' : '/update_weights_from_disk';
    const body = this.isBeside
      ? { lora_name: name, lora_path: path }
      : { model_path: path, weight_version: name, flush_cache: true };
    try {
      await this.connection.send(route, { body, signal });
    } catch (error) {
      // A call before this one has loaded it, whose answer got lost.
      if (!this.isBeside || !/already/.test(ForgeError.from(error).message)) throw error;
    }
  }

  async drop(name: string, signal: AbortSignal): Promise<void> {
    await this.connection.send('/unload_lora_adapter', { body: { lora_name: name }, signal });
  }

  async score(tokenIds: readonly number[], name: string, signal: AbortSignal): Promise<number[]> {
    const meta = await this.native(
      {
        input_ids: tokenIds,
        sampling_params: { temperature: 1, max_new_tokens: 1 },
        ...{ return_logprob: true, logprob_start_len: 0 },
        ...this.adapterOf(name),
      },
      signal,
    );
    this.checkWeights(meta.weight_version, name);
    return (meta.input_token_logprobs ?? []).slice(1).map(([logprob]) => logprob ?? NaN);
  }

  async pause(signal: AbortSignal): Promise<void> {
    await this.connection.send('/pause_generation', { body: { mode: 'abort' }, signal });
  }

  async resume(signal: AbortSignal): Promise<void> {
    await this.connection.send('/continue_generation', { body: {}, signal });
  }

  private async native(body: object, signal: AbortSignal): Promise<z.output<typeof metaSchema>> {
    const answer = await this.connection.ask('/generate', { body, signal }).catch((error: unknown) => {
      const { message } = ForgeError.from(error);
      throw this.isBeside && NO_ADAPTER.test(message) ? new ServerFault(message, { isLost: true }) : error;
    });
    const parsed = generatedSchema.safeParse(answer);
    if (parsed.success) return parsed.data.meta_info;
    const found = `an answer without meta_info as SGLang has it (${parsed.error.issues[0]?.path.join('.') ?? ''})`;
    throw this.connection.unreadable('/generate', found, LOGPROBS);
  }

  private adapterOf(weights: string | null): object {
    return this.isBeside && weights !== null ? { lora_path: weights } : {};
  }

  /** A server that was started anew has the weights it began with. */
  private checkWeights(found: string | number | null | undefined, weights: string | null): void {
    if (this.isBeside || weights === null || found === undefined || found === null || found === weights)
      return;
    throw new ServerFault(`has the weights ${found}, not ${weights}`, { isLost: true });
  }
}
