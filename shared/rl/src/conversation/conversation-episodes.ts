import type {
  ChatMessage,
  Completion,
  Episode,
  ForkReason,
  RolloutEnd,
  ShownMessage,
} from '@forge/contracts';
import { ForgeError } from '@forge/errors';
import { episodeFromTurns } from '../rollouts/episode';
import type { Score } from '../rollouts/rollout';

/** Turns that continue each other's tokens. */
export interface Part {
  /** The reason why it does not continue the part before it; null for the first one. */
  fork: ForkReason | null;
  turns: {
    completion: Completion;
    /** Position of the answer among the messages. */
    message: number;
  }[];
}

export interface Held {
  parts: readonly Part[];
  messages: readonly ChatMessage[];
  rollout: number;
  end: RolloutEnd | null;
}

/** One episode for each part, with the messages that are new in it. */
export function conversationEpisodes(
  { parts, messages, rollout, end }: Held,
  score: Score,
  turnRewards?: readonly number[],
): Episode[] {
  const answers = parts.reduce((sum, { turns }) => sum + turns.length, 0);
  if (turnRewards !== undefined && turnRewards.length !== answers) {
    const message = `turnRewards: found ${turnRewards.length}, expected one for each of the ${answers} answers`;
    throw new ForgeError('SHAPE_MISMATCH', message);
  }
  let answered = 0;
  let shown = 0;
  return parts.map(({ fork, turns }, i) => {
    const rewards = turnRewards?.slice(answered, answered + turns.length);
    answered += turns.length;
    // Behind the last answer of all there may be what others said to it.
    const until = i === parts.length - 1 ? messages.length : turns.at(-1)!.message + 1;
    const rewardAt = new Map(turns.map(({ message }, t) => [message, rewards?.[t]]));
    const conversation = messages.slice(shown, until).map((message, k) => {
      const isForked = k === 0 && fork !== null;
      return shownMessage(message, rewardAt.get(shown + k), isForked ? fork : undefined);
    });
    shown = until;
    return {
      ...episodeFromTurns(
        turns.map(({ completion }) => completion),
        score,
      ),
      rollout,
      conversation,
      ...(rewards && { turns: turns.map((turn, t) => ({ end: endOf(turn), reward: rewards[t]! })) }),
      ...(end !== null && { end }),
    };
  });
}

function endOf({ completion }: Part['turns'][number]): number {
  return completion.promptTokenIds.length + completion.tokenIds.length;
}

/** Calls that are shown of one message. */
const MAX_SHOWN_CALLS = 128;

function shownMessage(
  { role, content, reasoning, toolCalls, name }: ChatMessage,
  reward: number | undefined,
  fork: ForkReason | undefined,
): ShownMessage {
  const calls = toolCalls
    ?.slice(0, MAX_SHOWN_CALLS)
    .map((call) => ({ name: call.name, arguments: JSON.stringify(call.arguments) }));
  const shown = { role, text: content, reasoning, toolCalls: calls, name, reward, fork };
  return Object.fromEntries(Object.entries(shown).filter(([, value]) => value !== undefined)) as ShownMessage;
}
