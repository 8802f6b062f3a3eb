import type { ChatMessage, Completion, Episode, Sample, ToolCall } from '@forge/contracts';
import { episodeFromTurns, type PolicyHandle, type Rollout, type RolloutRecord, type Score } from '@forge/rl';

/** Answer of a policy: a text, or calls of tools. */
export type Said = string | ToolCall[];

export const call = (name: string, args: Record<string, unknown>): ToolCall => ({
  id: name,
  name,
  arguments: args,
});

/** Conversation of a rollout: its messages, and the tools it was offered. */
export interface Played {
  messages: ChatMessage[];
  tools: { name: string }[];
}

export interface PlayOptions {
  sample: Sample;
  groupSize?: number;
  signal?: AbortSignal;
  maxTurns?: number;
}

/** A group whose policy answers by `script`: the k-th conversation, and the number of the answer. */
export async function playRollout(
  rollout: Rollout,
  script: (turn: number, k: number, last: string) => Said | Promise<Said>,
  { sample, groupSize = 1, signal, maxTurns = 8 }: PlayOptions,
): Promise<{ played: Played[]; episodes: Episode[]; counts: Record<string, number> }> {
  const played: Played[] = [];
  const conversation = (first: ChatMessage[], { tools = [] }: { tools?: { name: string }[] }): unknown => {
    const k = played.length;
    const messages = [...first];
    played.push({ messages, tools });
    const completions: Completion[] = [];
    return {
      end: null,
      next: async () => {
        if (completions.length >= maxTurns) return null;
        const said = await script(completions.length, k, messages.at(-1)!.content);
        const completion: Completion = {
          ...{ text: '', promptTokenIds: [1], tokenIds: [2], logprobs: [-1], versions: [0] },
          stopReason: 'end',
        };
        completions.push(completion);
        const message: ChatMessage =
          typeof said === 'string'
            ? { role: 'assistant', content: said }
            : { role: 'assistant', content: '', toolCalls: said };
        messages.push(message);
        return { message, completion };
      },
      add: (...more: ChatMessage[]) => messages.push(...more),
      episodes: (score: Score) => [{ ...episodeFromTurns(completions.slice(-1), score), rollout: k }],
    };
  };
  const counts: Record<string, number> = {};
  const count = (metric: string): void => void (counts[metric] = (counts[metric] ?? 0) + 1);
  const record: RolloutRecord = {
    count,
    time: async (metric, work) => {
      const result = await work();
      count(metric);
      return result;
    },
  };
  const episodes = await rollout({
    sample,
    policy: { conversation } as unknown as PolicyHandle,
    reward: { score: () => Promise.resolve({ reward: 0, rewards: {} }) },
    groupSize,
    record,
    ...(signal && { signal }),
  });
  return { played, episodes, counts };
}
