import type { Answer } from '../../answers/answer';

/** The reason why an answer ended, and the stop sequence it ended before. */
export function stopFields({ completion, message: { toolCalls = [] }, stopString }: Answer): {
  stop_reason: string;
  stop_sequence: string | null;
} {
  if (toolCalls.length > 0) return { stop_reason: 'tool_use', stop_sequence: null };
  const reasons = { end: 'end_turn', length: 'max_tokens', stop: 'stop_sequence' };
  return { stop_reason: reasons[completion.stopReason], stop_sequence: stopString };
}
