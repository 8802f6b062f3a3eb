import { telemetryEventSchema, type TelemetryEvent } from '@forge/contracts';
import type { SampleRollout } from '../api';

type Shown = Extract<TelemetryEvent, { kind: 'rollout' }>;

/** A samples.jsonl line as the page shows it, of older runs without rewards by function, tokens and conversations; null for others. */
export function sampleRollout(line: unknown): SampleRollout | null {
  const { success, data } = telemetryEventSchema.safeParse({ ...(line as object), kind: 'rollout' });
  if (!success) return null;
  const { index, version, prompt, texts, rewards, rewardsByFunction, tokens, conversations, ends } =
    data as Shown;
  return {
    index,
    version,
    prompt,
    completions: texts.map((text, k) => {
      const shown = tokens?.[k];
      return {
        text,
        reward: rewards[k] ?? 0,
        rewards: rewardsByFunction?.[k] ?? {},
        tokens:
          shown?.texts.map((token, t) => ({
            text: token,
            logprob: shown.logprobs[t]!,
            version: shown.versions[t]!,
          })) ?? [],
        conversation: conversations?.[k] ?? [],
        end: ends?.[k] ?? null,
      };
    }),
  };
}
