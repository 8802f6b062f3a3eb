import type { ChatMessage, Completion, Episode, ForkReason, RolloutEnd, Sampling } from '@forge/contracts';
import { ForgeError } from '@forge/errors';
import type { Score } from '../rollouts/rollout';
import type { ChatPolicy } from './chat-policy';
import type { Conversation, ConversationOptions, OpenConversation, Turn } from './conversation';
import { conversationEpisodes, type Part } from './conversation-episodes';

/** Surroundings of conversations. */
export interface ConversationSetting {
  policy: ChatPolicy;
  /** Tokens of an answer at most where sampling does not say; Infinity: as many as the conversation may have. */
  maxTokens: number;
  /** Milliseconds, for the limit of time. */
  clock: () => number;
  /** Adds to a sum that is a metric. */
  count: (metric: string) => void;
}

/** A function that opens conversations with a policy: the first one is rollout 0 of its group, and so on. */
export function conversations(setting: (rollout: number) => ConversationSetting): OpenConversation {
  let opened = 0;
  return (messages, options = {}) => {
    const rollout = opened++;
    return new TokenConversation(setting(rollout), rollout, messages, options);
  };
}

/** A prompt for the next turn, and the part it belongs to. */
interface Prompt {
  tokenIds: number[];
  /** The reason why it does not continue the tokens so far; null when it does. */
  fork: ForkReason | null;
}

class TokenConversation implements Conversation {
  private readonly said: ChatMessage[];
  private readonly begun: Part[] = [];
  private limit: RolloutEnd | null = null;
  private isUnderWay = false;
  private turns = 0;
  private tokens = 0;
  /** Messages that the tokens so far stand for; 0 before the first turn. */
  private settled = 0;
  private startedAt: number | null = null;

  constructor(
    private readonly setting: ConversationSetting,
    private readonly rollout: number,
    messages: readonly ChatMessage[],
    private readonly options: ConversationOptions,
  ) {
    this.said = [...messages];
  }

  get messages(): readonly ChatMessage[] {
    return this.said;
  }

  get parts(): readonly (readonly Completion[])[] {
    return this.begun.map(({ turns }) => turns.map(({ completion }) => completion));
  }

  get forks(): readonly ForkReason[] {
    return this.begun.flatMap(({ fork }) => fork ?? []);
  }

  get end(): RolloutEnd | null {
    return this.limit;
  }

  add(...messages: ChatMessage[]): void {
    this.said.push(...messages);
  }

  async next(sampling: Partial<Sampling> = {}): Promise<Turn | null> {
    if (this.isUnderWay) throw misuse('the last answer is still under way; await it first');
    if (this.limit === null && this.settled > 0 && this.settled === this.said.length)
      throw misuse('nothing was added since the last answer; add a message, or stop here');
    this.limit ??= this.limitReached();
    if (this.limit !== null) return null;
    this.isUnderWay = true;
    try {
      return await this.turn({ ...this.options.sampling, ...sampling });
    } finally {
      this.isUnderWay = false;
    }
  }

  episodes(score: Score, turnRewards?: readonly number[]): Episode[] {
    const { rollout, said: messages, limit } = this;
    if (this.turns === 0) throw misuse('the policy has not answered yet, so there is nothing to train on');
    return conversationEpisodes({ parts: this.begun, messages, rollout, end: limit }, score, turnRewards);
  }

  private limitReached(): RolloutEnd | null {
    const { maxTurns = Infinity, maxTokens = Infinity, timeLimitMs = Infinity } = this.options;
    const now = this.setting.clock();
    this.startedAt ??= now;
    if (this.tokens >= maxTokens) return 'tokens';
    if (this.turns >= maxTurns) return 'turns';
    return now - this.startedAt >= timeLimitMs ? 'time' : null;
  }

  private async turn(sampling: Partial<Sampling>): Promise<Turn | null> {
    const { policy, count } = this.setting;
    // Messages that are added meanwhile belong to the turn after this one.
    const messages = [...this.said];
    const prompt = await this.prompt(messages);
    const left = (this.options.maxTokens ?? Infinity) - this.tokens;
    const most = Math.min(sampling.maxTokens ?? this.setting.maxTokens, left);
    const completion = await this.generate(prompt.tokenIds, {
      ...sampling,
      ...(most < Infinity && { maxTokens: most }),
    });
    if (completion === null) return null;
    const message = await policy.parseAnswer({
      tokenIds: completion.tokenIds,
      tools: this.options.tools,
      callIds: `call-${this.turns}`,
    });
    this.settle(messages, { message, completion }, prompt.fork);
    count('conversation/turns');
    if (prompt.fork !== null) countFork(prompt.fork, count);
    if (completion.stopReason === 'length') this.limit = this.limitThatCut(completion, most, left);
    return { message, completion };
  }

  /** The prompt that continues the tokens so far, or begins a new part where that can't be. */
  private async prompt(messages: ChatMessage[]): Promise<Prompt> {
    const { policy } = this.setting;
    const { tools, keepThinking } = this.options;
    const last = this.begun.at(-1)?.turns.at(-1)?.completion;
    if (last === undefined) return { tokenIds: await policy.renderChat({ messages, tools }), fork: null };
    const bridge = await policy.bridgeChat({
      tokenIds: [...last.promptTokenIds, ...last.tokenIds],
      before: messages.slice(0, this.settled),
      added: messages.slice(this.settled),
      tools,
      keepThinking,
    });
    if ('tokenIds' in bridge) return { tokenIds: bridge.tokenIds, fork: null };
    return { tokenIds: await policy.renderChat({ messages, tools }), fork: bridge.fork };
  }

  /** The completion; null when there is no room for one. */
  private async generate(tokenIds: number[], sampling: Partial<Sampling>): Promise<Completion | null> {
    try {
      const [completion] = await this.setting.policy.generate({ tokenIds }, { ...sampling, n: 1 });
      return completion!;
    } catch (error) {
      const isFull = ForgeError.from(error).is('CAPACITY_PROMPT_TOO_LONG');
      if (!isFull || this.turns === 0) throw error;
      this.limit = 'context';
      return null;
    }
  }

  private settle(messages: readonly ChatMessage[], turn: Turn, fork: ForkReason | null): void {
    const later = this.said.slice(messages.length);
    this.said.splice(messages.length, later.length, turn.message, ...later);
    this.settled = messages.length + 1;
    if (fork !== null || this.begun.length === 0) this.begun.push({ fork, turns: [] });
    this.begun.at(-1)!.turns.push({ completion: turn.completion, message: messages.length });
    this.turns += 1;
    this.tokens += turn.completion.tokenIds.length;
  }

  /** The limit that an answer without an end was cut off by; null when it is that of one answer. */
  private limitThatCut(completion: Completion, most: number, left: number): RolloutEnd | null {
    const { length } = completion.tokenIds;
    if (most < Infinity && length < most) return 'context';
    return length >= left ? 'tokens' : null;
  }
}

function countFork(reason: ForkReason, count: (metric: string) => void): void {
  count('conversation/forks');
  count(`conversation/fork_reasons/${reason}`);
}

function misuse(problem: string): ForgeError {
  return new ForgeError('CONFLICT_STATE', `conversation: ${problem}`);
}
