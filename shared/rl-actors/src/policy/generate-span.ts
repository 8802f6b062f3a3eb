import { basename } from 'node:path';
import type { Completion, Sampling, Prompt } from '@forge/contracts';
import type { ChunkMark } from '@forge/model';
import type { Span } from '@forge/telemetry';

export interface GenerateCall {
  /** Directory of the model. */
  model: string;
  prompt: Prompt;
  sampling: Sampling;
  completions: readonly Completion[];
  chunks: readonly ChunkMark[];
}

/**
 * Content of the span of a call of `generate`: an event for every chunk of tokens and for every change of weights
 * between two, and the attributes of OpenTelemetry's conventions for generative AI.
 *
 * @see https://opentelemetry.io/docs/specs/semconv/gen-ai/gen-ai-spans/
 */
export function describeGenerate(
  span: Span,
  { model, prompt, sampling, completions, chunks }: GenerateCall,
): void {
  const versions = chunks.map(({ version }) => version);
  span.setAttributes({
    'gen_ai.operation.name': Array.isArray(prompt) ? 'chat' : 'text_completion',
    'gen_ai.provider.name': 'forge',
    'gen_ai.request.model': basename(model),
    'gen_ai.request.choice.count': completions.length,
    'gen_ai.request.max_tokens': sampling.maxTokens,
    'gen_ai.request.temperature': sampling.temperature,
    'gen_ai.request.top_p': sampling.topP,
    'gen_ai.request.top_k': sampling.topK,
    'gen_ai.usage.input_tokens': completions[0]?.promptTokenIds.length ?? 0,
    'gen_ai.usage.output_tokens': completions.reduce((sum, { tokenIds }) => sum + tokenIds.length, 0),
    'gen_ai.response.finish_reasons': [...new Set(completions.map(({ stopReason }) => stopReason))],
    'forge.policy.version.oldest': Math.min(...versions),
    'forge.policy.version.newest': Math.max(...versions),
  });
  let before = versions[0];
  for (const { endedAtMs, version, tokens, rows } of chunks) {
    if (version !== before) span.addEvent('weight switch', { from: before, to: version }, endedAtMs);
    before = version;
    span.addEvent('chunk', { tokens, rows, version }, endedAtMs);
  }
}
