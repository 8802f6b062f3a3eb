import type { Prompt } from '@forge/contracts';
import type { Engine } from '@forge/engine';
import { ForgeError } from '@forge/errors';
import type { LoadedModel } from '../hugging-face/hugging-face';
import { jsonOf } from '../hugging-face/model-files';
import { SequenceScorer } from './sequence-scorer';

/** The part of a conversation that is left out where it is too long: none, its end or its start. */
export type Truncation = 'error' | 'end' | 'start';

/** A prompt, and what was answered. */
export interface Conversation {
  prompt: Prompt;
  answer: string;
}

export interface ConversationScorerOptions {
  engine: Engine;
  model: LoadedModel;
  maxBatchTokens: number;
  /** Tokens of a conversation at most; the positions of the model unless given. */
  maxTokens?: number | undefined;
  truncation: Truncation;
}

/** Scores of conversations by a model with a scalar head, in the words of its own chat template. */
export class ConversationScorer {
  private constructor(
    private readonly options: ConversationScorerOptions,
    private readonly scorer: SequenceScorer,
  ) {}

  static async create(options: ConversationScorerOptions): Promise<ConversationScorer> {
    const { engine, model, maxBatchTokens } = options;
    const { config, parameters } = model;
    const padTokenId = padToken(model);
    const scorer = await SequenceScorer.create({ engine, config, parameters, padTokenId, maxBatchTokens });
    return new ConversationScorer(options, scorer);
  }

  /** The score of each conversation, in order; the error of one that can't be scored in its place. */
  async score(conversations: readonly Conversation[]): Promise<(number | ForgeError)[]> {
    const read = conversations.map((conversation) => this.tokensOf(conversation));
    const scores = await this.scorer.score(read.flatMap((one) => (Array.isArray(one) ? [one] : [])));
    let next = 0;
    return read.map((one) => (Array.isArray(one) ? scores[next++]! : one));
  }

  private tokensOf({ prompt, answer }: Conversation): number[] | ForgeError {
    const { model, truncation } = this.options;
    try {
      const { tokenIds } = model.tokenizer.renderAnswered(prompt, answer);
      return truncated(tokenIds, conversationTokens(model.config, this.options), truncation);
    } catch (error) {
      return ForgeError.from(error);
    }
  }
}

/** Tokens of a conversation that are read at most. */
export function conversationTokens(
  { maxPositions }: Pick<LoadedModel['config'], 'maxPositions'>,
  { maxTokens = maxPositions }: { maxTokens?: number | undefined },
): number {
  return Math.min(maxTokens, maxPositions);
}

/** @throws {ForgeError} CAPACITY_PROMPT_TOO_LONG */
function truncated(tokenIds: number[], most: number, truncation: Truncation): number[] {
  if (tokenIds.length <= most) return tokenIds;
  if (truncation === 'end') return tokenIds.slice(0, most);
  if (truncation === 'start') return tokenIds.slice(-most);
  throw new ForgeError(
    'CAPACITY_PROMPT_TOO_LONG',
    `prompt and answer have ${tokenIds.length} tokens, the reward model reads at most ${most}; lower sampling.maxTokens, or set truncation of the reward to start or end`,
    { tokens: tokenIds.length, maxPositions: most },
  );
}

function padToken({ files, dir }: LoadedModel): number | null {
  const id = jsonOf(files, 'config.json', dir)?.['pad_token_id'];
  return typeof id === 'number' ? id : null;
}
