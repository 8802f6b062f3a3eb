import { SHOWN_COMPLETIONS, SHOWN_MESSAGES, type Episode, type ShownMessage } from '@forge/contracts';

/** The messages of the first rollouts, for people: so many, and so much of each, that they stay small. */
export function shownConversations(rollouts: readonly Episode[]): ShownMessage[][] {
  let left = SHOWN_MESSAGES.charactersPerRollout;
  const shorter = (text: string): string => {
    const shown = text.slice(0, Math.min(left, SHOWN_MESSAGES.charactersPerText));
    left -= shown.length;
    return shown.length < text.length ? `${shown}…` : text;
  };
  return rollouts.slice(0, SHOWN_COMPLETIONS).map(({ conversation = [] }) =>
    conversation.slice(0, SHOWN_MESSAGES.perCompletion).map((message) => ({
      ...message,
      text: shorter(message.text),
      ...(message.reasoning !== undefined && { reasoning: shorter(message.reasoning) }),
      ...(message.toolCalls !== undefined && {
        toolCalls: message.toolCalls.map((call) => ({ ...call, arguments: shorter(call.arguments) })),
      }),
    })),
  );
}
