import type {
  ChatMessage,
  Completion,
  Episode,
  ForkReason,
  RolloutEnd,
  Sampling,
  ToolSpec,
} from '@forge/contracts';
import type { Score } from '../rollouts/rollout';

export interface ConversationOptions {
  tools?: ToolSpec[] | undefined;
  /** Sampling of answers, over what the policy was set up with. */
  sampling?: Partial<Sampling> | undefined;
  /** Answers at most; the limit ends the conversation where one more is asked for. */
  maxTurns?: number | undefined;
  /** Tokens of all answers together at most; the last answer is cut off there. */
  maxTokens?: number | undefined;
  /** Time after the begin of the first turn from which on no turn begins. */
  timeLimitMs?: number | undefined;
  /** Keep the thinking of earlier answers where the template would leave it out, instead of a fork (default false). */
  keepThinking?: boolean | undefined;
}

/** An answer: as a message, and as the tokens that were sampled. */
export interface Turn {
  message: ChatMessage;
  completion: Completion;
}

/** A conversation with the policy that keeps what was sampled as the token ids it was sampled as. */
export interface Conversation {
  readonly messages: readonly ChatMessage[];
  /** Completions since each fork, the last list growing: each prompt continues the tokens before it. */
  readonly parts: readonly (readonly Completion[])[];
  /** The reason of each part after the first one. */
  readonly forks: readonly ForkReason[];
  /** The limit that ended it; null while it may go on. */
  readonly end: RolloutEnd | null;
  /**
   * The policy's next answer; null when a limit has ended the conversation, which `end` names.
   *
   * @throws {ForgeError} CONFLICT_STATE when nothing was added since its last answer, or that is still under way;
   *   CAPACITY_PROMPT_TOO_LONG when the first prompt has no room; as `ChatPolicy`.
   */
  next(sampling?: Partial<Sampling>): Promise<Turn | null>;
  /** Adds what others say; the policy sees it at the next turn. */
  add(...messages: ChatMessage[]): void;
  /**
   * One episode for each part, all of one rollout. `turnRewards` has one for each answer, which are credited to its turn.
   *
   * @throws {ForgeError} CONFLICT_STATE before the first answer; SHAPE_MISMATCH for another number of turn rewards.
   */
  episodes(score: Score, turnRewards?: readonly number[]): Episode[];
}

/** Begins a conversation with the given messages. */
export type OpenConversation = (messages: ChatMessage[], options?: ConversationOptions) => Conversation;
