import { rolloutSchema, type OpenEnvConfig } from '@forge/config';
import type { ChatMessage, Completion, Episode, Sample, ToolCall } from '@forge/contracts';
import {
  environmentRollout,
  episodeFromTurns,
  type EnvironmentSet,
  type PolicyHandle,
  type Score,
} from '@forge/rl';
import { openEnv } from './openenv-environment';

/** Answer of a policy: a text, or calls of tools. */
export type Said = string | ToolCall[];

export const call = (name: string, args: Record<string, unknown>): ToolCall => ({
  id: name,
  name,
  arguments: args,
});

export const sample: Sample = { id: 's1', prompt: 'Find the number.', answer: '42' };

/** Conversation of a rollout: its messages, and the tools it was offered. */
interface Played {
  messages: ChatMessage[];
  tools: string[];
}

/** A group in the environment, whose policy answers by `script`: the k-th conversation, and the number of the answer. */
export async function play(
  environment: EnvironmentSet,
  script: (turn: number, k: number) => Said | Promise<Said>,
  {
    groupSize = 1,
    signal,
    maxTurns = 8,
  }: { groupSize?: number; signal?: AbortSignal; maxTurns?: number } = {},
): Promise<{ played: Played[]; episodes: Episode[] }> {
  const played: Played[] = [];
  const conversation = (first: ChatMessage[], options: { tools?: { name: string }[] }): unknown => {
    const k = played.length;
    const messages = [...first];
    played.push({ messages, tools: (options.tools ?? []).map(({ name }) => name) });
    const completions: Completion[] = [];
    return {
      end: null,
      next: async () => {
        if (completions.length >= maxTurns) return null;
        const said = await script(completions.length, k);
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
  const episodes = await environmentRollout({ environment, maxTurns })({
    sample,
    policy: { conversation } as unknown as PolicyHandle,
    reward: { score: () => Promise.resolve({ reward: 0, rewards: {} }) },
    groupSize,
    ...(signal && { signal }),
  });
  return { played, episodes };
}

/** The environment of a recipe that names the server. */
export function environmentAt(
  url: string,
  options: Partial<OpenEnvConfig> = {},
  { key = null, pingMs }: { key?: string | null; pingMs?: number } = {},
): EnvironmentSet {
  const given = { name: 'openenv', url, ...options };
  return openEnv(rolloutSchema.parse({ environment: given }).environment as OpenEnvConfig, key, pingMs);
}
