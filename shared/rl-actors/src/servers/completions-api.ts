import type { Sampling } from '@forge/contracts';
import { z } from 'zod';
import { drawnTokens } from './drawn-tokens';
import type { TokensAsked, TokensGiven } from './generating-server';
import type { ServerConnection } from './server-connection';

export const COMPLETIONS = '/v1/completions';

const logprob = z.number().nullable();
const scoredSchema = z.record(z.string(), z.object({ logprob })).nullable();
const choiceSchema = z.object({
  finish_reason: z.string().nullish(),
  token_ids: z.array(z.int().min(0)).nullish(),
  prompt_logprobs: z.array(scoredSchema).nullish(),
  logprobs: z
    .object({
      tokens: z.array(z.string()).nullish(),
      token_logprobs: z.array(logprob).nullish(),
      content: z.array(z.object({ id: z.int().min(0).optional(), logprob })).nullish(),
    })
    .nullish(),
});
const completionsSchema = z.object({ choices: z.array(choiceSchema).min(1) });
const modelsSchema = z.object({ data: z.array(z.object({ id: z.string() })).min(1) });

export type CompletionChoice = z.output<typeof choiceSchema>;

/** OpenAI's completions of token ids, as servers have extended them. */
export class CompletionsApi {
  private known: Promise<string> | null = null;

  constructor(
    private readonly connection: ServerConnection,
    private readonly model: string | undefined,
    /** Way out where an answer lacks what is needed. */
    private readonly wayOut: string,
  ) {}

  /** The first choice of an answer. */
  async complete(body: object, signal: AbortSignal): Promise<CompletionChoice> {
    const answer = completionsSchema.safeParse(await this.connection.ask(COMPLETIONS, { body, signal }));
    if (answer.success) return answer.data.choices[0]!;
    const found = `an answer without choices as OpenAI has them (${answer.error.issues[0]?.path.join('.') ?? ''})`;
    throw this.connection.unreadable(COMPLETIONS, found, this.wayOut);
  }

  /** Tokens of a choice, from whichever field has them. */
  tokensOf(choice: CompletionChoice, { maxTokens }: Pick<TokensAsked, 'maxTokens'>): TokensGiven {
    const { logprobs, finish_reason: reason } = choice;
    const isInterrupted = reason === 'abort';
    const content = logprobs?.content ?? undefined;
    const given = {
      tokenIds: choice.token_ids ?? namedIds(logprobs?.tokens ?? undefined) ?? idsOf(content),
      logprobs: logprobs?.token_logprobs ?? content?.map((one) => one.logprob),
    };
    const isEnded = reason === 'stop';
    const rules = { isInterrupted, isEnded, maxTokens, wayOut: this.wayOut };
    return drawnTokens(this.connection, COMPLETIONS, rules, given);
  }

  /** Name of the model that is asked, as the server has it. */
  async modelName(signal: AbortSignal): Promise<string> {
    if (this.model !== undefined) return this.model;
    this.known ??= this.firstModel(signal);
    this.known.catch(() => (this.known = null));
    return this.known;
  }

  private async firstModel(signal: AbortSignal): Promise<string> {
    const models = modelsSchema.safeParse(await this.connection.ask('/v1/models', { signal }));
    if (models.success) return models.data.data[0]!.id;
    throw this.connection.unreadable('/v1/models', 'no model', 'name it by `model` beside url');
  }
}

/** Sampling in the words of OpenAI's API; what is off is said to be, since a server may have other defaults. */
export function samplingFields({ temperature, topP, topK, stop }: Sampling): object {
  return {
    ...{ temperature, top_p: topP, presence_penalty: 0, frequency_penalty: 0 },
    ...(stop.length > 0 && { stop }),
    ...(topK > 0 && { top_k: topK }),
  };
}

/** Ids that stand for their tokens, as `token_id:17`. */
function namedIds(tokens: readonly string[] | undefined): number[] | undefined {
  const ids = tokens?.map((token) => /^token_id:(\d+)$/.exec(token)?.[1]);
  return ids?.every((id) => id !== undefined) ? ids.map(Number) : undefined;
}

function idsOf(content: readonly { id?: number | undefined }[] | undefined): number[] | undefined {
  const ids = content?.flatMap(({ id }) => id ?? []);
  return ids?.length === content?.length ? ids : undefined;
}
