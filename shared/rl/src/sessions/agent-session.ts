import { isDeepStrictEqual } from 'node:util';
import type {
  ChatMessage,
  Completion,
  Episode,
  KeptCall,
  RolloutEnd,
  Sampling,
  SessionAnswer,
  SessionCall,
  ToolSpec,
} from '@forge/contracts';
import { ForgeError } from '@forge/errors';
import type { Conversation, OpenConversation } from '../conversation/conversation';
import type { Score } from '../rollouts/rollout';

/** Home of the calls of a session, which outlives the process that has it. */
export interface CallStore {
  /**
   * Null once the calls, from that position on, are sure to be found again; else how many there are, when it has lost some before.
   *
   * @throws {ForgeError} CONFLICT_SESSION_OVER; TRANSIENT_SESSION_LOST when another process has the session.
   */
  keep(position: number, calls: readonly KeptCall[]): Promise<number | null>;
}

export interface SessionSetting {
  /** Opens conversations, the first of which get completions that were drawn before, in order, instead of new ones. */
  conversations(drawn: readonly (readonly Completion[])[]): OpenConversation;
  store: CallStore;
  /** Answers at most. */
  maxTurns?: number | undefined;
  /** Tokens of all answers together at most. */
  maxTokens?: number | undefined;
  /** Tokens of one answer at most. */
  answerTokens: number;
}

/** A session that is over. */
export interface ConcludedSession {
  /** The newest answer; null: there was no call. */
  last: Completion | null;
  /** One for each part of each conversation, all of that rollout. */
  episodes(score: Score, rollout: number): Episode[];
}

interface Talk {
  conversation: Conversation;
  /** Tools as JSON; null for one that no call may continue. */
  tools: string | null;
  /** Messages up to its last answer, that included. */
  answered: number;
  /** Stop strings that an answer was asked to end before, by its position among the messages. */
  stops: Map<number, readonly string[]>;
  isUnderWay: boolean;
}

/**
 * A rollout of an agent that calls the policy: each call continues the conversation whose messages it repeats, or begins
 * one, of a helper or of an agent that has changed its history. What was sampled stays as the tokens it was sampled as.
 *
 * A call is kept before it is answered. One that the client says it sends again is answered from there, or with the answer
 * that is under way; an equal body alone is no such proof, as an agent may ask the same thing twice.
 */
export class AgentSession {
  private readonly talks: Talk[] = [];
  private readonly kept: KeptCall[] = [];
  /** Calls of `kept` that the store has for sure. */
  private stored = 0;
  private storing: Promise<void> = Promise.resolve();
  private readonly underWay = new Set<Promise<SessionAnswer>>();
  private readonly newest = new Map<string, Promise<SessionAnswer>>();
  private isOver = false;
  private limit: RolloutEnd | null = null;

  private constructor(
    private readonly setting: SessionSetting,
    private readonly open: OpenConversation,
  ) {}

  /** The session as it is after these calls; none: a new one. */
  static async resume(setting: SessionSetting, calls: readonly KeptCall[] = []): Promise<AgentSession> {
    const talks = Math.max(0, ...calls.map(({ talk }) => talk + 1));
    const byTalk = Array.from({ length: talks }, (_, t) => calls.filter(({ talk }) => talk === t));
    const drawn = byTalk.map((its) => its.map(({ answer }) => answer.completion));
    const session = new AgentSession(setting, setting.conversations(drawn));
    // The first answer of a conversation may have been under way: it is not there, and keeps its place.
    for (const [first] of byTalk) session.begin(first?.added ?? [], first?.tools ?? null);
    for (const call of calls) await session.repeat(call);
    return session;
  }

  /** Whether the agent was refused more than its rollout may have. */
  get isCutOff(): boolean {
    return this.limit !== null;
  }

  /**
   * The policy's answer.
   *
   * @throws {ForgeError} CONFLICT_SESSION_OVER; CAPACITY_SESSION_LIMIT naming the limit; CAPACITY_PROMPT_TOO_LONG when the
   *   first messages of a conversation have no room; as `CallStore.keep`, and as the policy.
   */
  async answer(call: SessionCall): Promise<SessionAnswer> {
    if (this.isOver) throw new ForgeError('CONFLICT_SESSION_OVER', `session ${call.sessionId} is over`);
    const known = call.isRetry ? this.known(call.digest) : undefined;
    if (known !== undefined) return known;
    const answered = this.next(call);
    this.underWay.add(answered);
    this.newest.set(call.digest, answered);
    try {
      return await answered;
    } finally {
      this.underWay.delete(answered);
      if (this.newest.get(call.digest) === answered) this.newest.delete(call.digest);
    }
  }

  /** Ends the session once the calls under way are; answers that could not be kept any more are no part of it. */
  async conclude(): Promise<ConcludedSession> {
    this.isOver = true;
    await Promise.allSettled(this.underWay);
    const kept = this.kept.slice(0, this.stored);
    const exact = kept.length === this.kept.length ? this : await AgentSession.resume(this.setting, kept);
    return {
      last: kept.at(-1)?.answer.completion ?? null,
      episodes: (score, rollout) => exact.episodes(score, rollout, this.limit),
    };
  }

  private known(digest: string): Promise<SessionAnswer> | SessionAnswer | undefined {
    const kept = this.kept.slice(0, this.stored).findLast((call) => call.digest === digest);
    return this.newest.get(digest) ?? kept?.answer;
  }

  private async next(call: SessionCall): Promise<SessionAnswer> {
    const sampling = this.sampling(call);
    const at = this.talkOf(call);
    const talk = this.talks[at]!;
    const { conversation } = talk;
    conversation.add(...call.messages.slice(conversation.messages.length));
    const added = conversation.messages.slice(talk.answered);
    const answer = await this.turn(talk, sampling);
    const { digest, tools } = call;
    await this.keep({ digest, talk: at, added, tools, ...sampling, answer });
    return answer;
  }

  private async turn(talk: Talk, sampling: Partial<Sampling>): Promise<SessionAnswer> {
    const { conversation } = talk;
    talk.isUnderWay = true;
    try {
      const turn = await conversation.next(sampling);
      if (turn === null) throw this.refusal(conversation.end ?? 'context');
      talk.answered = conversation.messages.length;
      talk.stops.set(talk.answered - 1, sampling.stop ?? []);
      return { message: turn.message, completion: turn.completion };
    } finally {
      talk.isUnderWay = false;
    }
  }

  /** The part of sampling that is the client's; the rest is the run's, since what is trained is what was drawn. */
  private sampling({
    stop,
    maxTokens = Infinity,
  }: SessionCall): Pick<Sampling, 'maxTokens'> & { stop?: string[] } {
    const { maxTurns = Infinity, maxTokens: most = Infinity, answerTokens } = this.setting;
    if (this.kept.length + this.talks.filter(({ isUnderWay }) => isUnderWay).length >= maxTurns)
      throw this.refusal('turns');
    const drawn = this.kept.reduce((sum, { answer }) => sum + answer.completion.tokenIds.length, 0);
    if (drawn >= most) throw this.refusal('tokens');
    return { ...(stop && { stop }), maxTokens: Math.min(maxTokens, answerTokens, most - drawn) };
  }

  private refusal(limit: RolloutEnd): ForgeError {
    this.limit ??= limit;
    const field =
      limit === 'context'
        ? 'the positions of the model'
        : `rollout.max${limit === 'turns' ? 'Turns' : 'Tokens'}`;
    return new ForgeError(
      'CAPACITY_SESSION_LIMIT',
      `the session has reached its limit of ${limit}: ${field}`,
      {
        limit,
      },
    );
  }

  /** Position of the conversation with the longest history that the messages repeat and go on from; else of a new one. */
  private talkOf({ tools, messages }: SessionCall): number {
    const toolsText = JSON.stringify(tools);
    let longest = -1;
    this.talks.forEach((talk, at) => {
      if (talk.isUnderWay || talk.tools !== toolsText || !isRepeated(talk, messages)) return;
      const length = this.talks[longest]?.conversation.messages.length ?? -1;
      if (talk.conversation.messages.length > length) longest = at;
    });
    return longest >= 0 ? longest : this.begin(messages, tools);
  }

  private begin(messages: readonly ChatMessage[], tools: readonly ToolSpec[] | null): number {
    const offered = tools === null || tools.length === 0 ? undefined : [...tools];
    const conversation = this.open([...messages], { tools: offered });
    const talk = {
      conversation,
      tools: tools && JSON.stringify(tools),
      answered: 0,
      stops: new Map(),
      isUnderWay: false,
    };
    return this.talks.push(talk) - 1;
  }

  /** Takes up a call that was answered before. */
  private async repeat(call: KeptCall): Promise<void> {
    const talk = this.talks[call.talk]!;
    if (talk.answered > 0) talk.conversation.add(...call.added);
    const { stop, maxTokens } = call;
    await this.turn(talk, { ...(stop && { stop }), ...(maxTokens !== undefined && { maxTokens }) });
    this.stored = this.kept.push(call);
  }

  /** Keeps a call after those before it. */
  private keep(call: KeptCall): Promise<void> {
    const position = this.kept.push(call) - 1;
    this.storing = this.storing.then(() => this.store(position));
    return this.storing;
  }

  private async store(position: number): Promise<void> {
    for (let from: number | null = position; from !== null;)
      from = await this.setting.store.keep(from, this.kept.slice(from, position + 1));
    this.stored = position + 1;
  }

  private episodes(score: Score, rollout: number, limit: RolloutEnd | null): Episode[] {
    return this.talks
      .filter(({ conversation }) => conversation.parts.length > 0)
      .flatMap(({ conversation }) => conversation.episodes(score))
      .map((episode) => ({ ...episode, rollout, ...(limit !== null && { end: limit }) }));
  }
}

/** Whether messages repeat a history and go on from its last answer. */
function isRepeated({ conversation, answered, stops }: Talk, messages: readonly ChatMessage[]): boolean {
  const history = conversation.messages;
  return (
    history.length <= messages.length &&
    messages.length > answered &&
    history.every((message, at) => {
      const [mine, theirs] = [message, messages[at]!].map((one) => essence(one, stops.get(at)));
      // A client that takes one call at a time says the first alone again.
      const calls = mine!.calls.slice(0, theirs!.calls.length || mine!.calls.length);
      return isDeepStrictEqual({ ...mine, calls }, theirs);
    })
  );
}

/**
 * The part of a message that clients send back: many leave out thinking, make ids anew, or trim a content. An answer is told up
 * to the first of its `stop` strings.
 */
function essence(
  { role, content, toolCalls = [] }: ChatMessage,
  stop: readonly string[] = [],
): { role: string; content: string; calls: unknown[] } {
  const ends = stop.map((string) => content.indexOf(string)).filter((at) => at >= 0);
  return {
    role,
    content: content.slice(0, Math.min(content.length, ...ends)).trim(),
    calls: toolCalls.map(({ name, arguments: given }) => [name, given]),
  };
}
