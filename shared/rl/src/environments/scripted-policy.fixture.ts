import type { ChatMessage, Completion, Episode, RolloutEnd, ToolCall } from '@forge/contracts';
import type { Conversation, ConversationOptions, Turn } from '../conversation/conversation';
import { episodeFromTurns } from '../rollouts/episode';
import type { Score } from '../rollouts/rollout';

/** An answer: a text, or calls of tools. */
type Answer = string | ToolCall[];

/** Says what a policy answers to the messages so far, in the conversation that began as the k-th. */
export type Script = (messages: readonly ChatMessage[], k: number) => Answer | Promise<Answer>;

/** A call of a tool, as a model makes it. */
export function call(name: string, args: Record<string, unknown>, id = `${name}-1`): ToolCall {
  return { id, name, arguments: args };
}

/** A policy that answers by a script; a token for each character of an answer. */
export class ScriptedPolicy {
  readonly conversations: ScriptedConversation[] = [];

  constructor(private readonly script: Script) {}

  conversation(messages: ChatMessage[], options: ConversationOptions = {}): ScriptedConversation {
    const k = this.conversations.length;
    const conversation = new ScriptedConversation([...messages], options, k, (so) => this.script(so, k));
    this.conversations.push(conversation);
    return conversation;
  }
}

export class ScriptedConversation implements Conversation {
  readonly forks = [];
  readonly completions: Completion[] = [];
  end: RolloutEnd | null = null;
  private tokenIds: number[] = [0];

  constructor(
    readonly messages: ChatMessage[],
    readonly options: ConversationOptions,
    private readonly rollout: number,
    private readonly answer: (messages: readonly ChatMessage[]) => Answer | Promise<Answer>,
  ) {}

  get parts(): readonly (readonly Completion[])[] {
    return [this.completions];
  }

  async next(): Promise<Turn | null> {
    if (this.completions.length >= (this.options.maxTurns ?? Infinity)) this.end = 'turns';
    if (this.end !== null) return null;
    const answer = await this.answer(this.messages);
    const text = typeof answer === 'string' ? answer : `call ${answer.map(({ name }) => name).join(' ')}`;
    const message: ChatMessage = {
      role: 'assistant',
      content: typeof answer === 'string' ? answer : '',
      ...(typeof answer !== 'string' && { toolCalls: answer }),
    };
    const tokenIds = [...text].map((character) => character.charCodeAt(0));
    const completion: Completion = {
      text,
      promptTokenIds: this.tokenIds,
      tokenIds,
      logprobs: tokenIds.map(() => -1),
      versions: tokenIds.map(() => 0),
      stopReason: 'end',
    };
    this.completions.push(completion);
    this.tokenIds = [...this.tokenIds, ...tokenIds];
    this.messages.push(message);
    return { message, completion };
  }

  add(...messages: ChatMessage[]): void {
    this.messages.push(...messages);
    this.tokenIds = [...this.tokenIds, ...messages.map(() => 1)];
  }

  episodes(score: Score, turnRewards?: readonly number[]): Episode[] {
    const episode = { ...episodeFromTurns(this.completions, score), rollout: this.rollout };
    return [
      turnRewards === undefined ? episode : { ...episode, turns: turnsOf(this.completions, turnRewards) },
    ];
  }
}

function turnsOf(completions: readonly Completion[], rewards: readonly number[]): Episode['turns'] {
  return completions.map(({ promptTokenIds, tokenIds }, t) => ({
    end: promptTokenIds.length + tokenIds.length,
    reward: rewards[t]!,
  }));
}
