import type { Answer, Growth } from '../../answers/answer';
import type { Asked } from '../../answers/asked';
import type { AnswerStream, CallFacts, StreamEvent } from '../dialect';
import { finishReason, isEmpty, openAiUsage } from '../token-fields';

/** Log-probs of the tokens of one text, with the place in it where each begins. */
export class TextLogprobs {
  private offset = 0;

  /** Shapes: both [T]; T = tokens since the last time. */
  of(tokenTexts: readonly string[] | null, logprobs: readonly number[]): object | null {
    if (tokenTexts === null) return null;
    const offsets = tokenTexts.map((text) => (this.offset += text.length) - text.length);
    return {
      tokens: tokenTexts,
      token_logprobs: logprobs,
      top_logprobs: null,
      text_offset: offsets,
    };
  }
}

/** Chunks of completions. */
export class CompletionsStream implements AnswerStream {
  private readonly logprobs = new Map<number, TextLogprobs>();

  constructor(
    private readonly asked: Asked & { withUsage: boolean },
    private readonly facts: CallFacts,
  ) {}

  begin(): StreamEvent[] {
    return [];
  }

  grow(growth: Growth): StreamEvent[] {
    const { withTokenIds } = this.asked;
    if (isEmpty(growth, withTokenIds)) return [];
    const { index, content, tokenIds, logprobs, tokenTexts } = growth;
    const places = this.logprobs.get(index) ?? new TextLogprobs();
    this.logprobs.set(index, places);
    const choice = { index, text: content, logprobs: places.of(tokenTexts, logprobs), finish_reason: null };
    return [this.chunk([{ ...choice, ...(withTokenIds && { token_ids: tokenIds }) }])];
  }

  end(answers: readonly Answer[]): StreamEvent[] {
    const { withUsage, withTokenIds, n } = this.asked;
    const last = answers.map((answer, index) => {
      const choice = { index, text: '', logprobs: null, finish_reason: finishReason(answer) };
      const prompt = { prompt_token_ids: answer.completion.promptTokenIds, token_ids: [] };
      return this.chunk([{ ...choice, ...(withTokenIds && prompt) }]);
    });
    const usage = withUsage ? [this.chunk([], openAiUsage(answers, n))] : [];
    return [...last, ...usage, { data: '[DONE]' }];
  }

  private chunk(choices: object[], usage: object | null = null): StreamEvent {
    const { id, createdAt, model } = this.facts;
    const chunk = { id: `cmpl-${id}`, object: 'text_completion', created: createdAt, model, choices };
    return { data: this.asked.withUsage ? { ...chunk, usage } : chunk };
  }
}
