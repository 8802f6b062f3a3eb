import type { Completion, Sample } from '@forge/contracts';

/** A completion of `text`, `tokens` long. */
export function completionOf(text: string, tokens = 3): Completion {
  return {
    text,
    promptTokenIds: [1, 2],
    tokenIds: Array.from({ length: tokens }, (_, i) => 10 + i),
    logprobs: Array.from({ length: tokens }, () => -0.5),
    versions: Array.from({ length: tokens }, () => 4),
    stopReason: 'end',
  };
}

export function sampleOf(answer?: string): Sample {
  return { id: 's', prompt: 'p', ...(answer !== undefined && { answer }) };
}
