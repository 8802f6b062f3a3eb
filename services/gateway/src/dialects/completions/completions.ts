import type { Prompt } from '@forge/contracts';
import { z } from 'zod';
import type { Answer } from '../../answers/answer';
import type { Asked } from '../../answers/asked';
import { ApiProblem } from '../api-problem';
import type { CallFacts, Dialect } from '../dialect';
import { openAiErrors } from '../open-ai-errors';
import { readBody, unsupported } from '../read-body';
import {
  answersField,
  flagField,
  MAX_ANSWERS,
  samplingFields,
  samplingOf,
  seedField,
  stopField,
  tokensField,
} from '../sampling-fields';
import { finishReason, openAiUsage } from '../token-fields';
import { CompletionsStream, TextLogprobs } from './completions-stream';

/** Tokens of an answer where the client names no number, as OpenAI's servers have it. */
const USUAL_TOKENS = 16;
const MAX_PROMPT_TOKENS = 2 ** 20;
const tokenIds = z.array(z.int().min(0)).min(1).max(MAX_PROMPT_TOKENS);

const schema = z.object({
  model: z.string().min(1),
  prompt: z.union([
    z.string(),
    z.array(z.string()).min(1).max(MAX_ANSWERS),
    tokenIds,
    z.array(tokenIds).min(1).max(MAX_ANSWERS),
  ]),
  ...samplingFields,
  n: answersField,
  best_of: z.int().nullish(),
  seed: seedField,
  stop: stopField,
  max_tokens: tokensField,
  stream: flagField,
  stream_options: z.object({ include_usage: flagField }).nullish(),
  logprobs: z
    .literal(0, { error: 'only 0 is possible: the log-prob of the token that was drawn is all there is' })
    .nullish(),
  return_token_ids: flagField,
  echo: unsupported('the prompt is not repeated; leave it out', false),
  suffix: unsupported('text is continued at its end only; leave it out', ''),
  logit_bias: unsupported('this server has no biases; leave it out', {}),
  presence_penalty: unsupported('this server has no penalties; leave it out', 0),
  frequency_penalty: unsupported('this server has no penalties; leave it out', 0),
});

export interface CompletionsRequest extends Asked {
  withUsage: boolean;
}

/**
 * OpenAI's completions of text, or of token ids.
 *
 * @see https://platform.openai.com/docs/api-reference/completions
 */
export const completions: Dialect = {
  read: (body) => {
    const asked = readCompletionsRequest(body);
    return {
      asked,
      body: (answers, facts) => completionsBody(asked, answers, facts),
      stream: (facts) => new CompletionsStream(asked, facts),
    };
  },
  errors: openAiErrors,
};

function readCompletionsRequest(body: unknown): CompletionsRequest {
  const read = readBody(schema, body);
  const prompts = promptsOf(read.prompt);
  const n = read.n ?? 1;
  if (prompts.length * n > MAX_ANSWERS) {
    const found = `found ${prompts.length} prompts and n ${n}`;
    throw new ApiProblem('invalid', `prompt: ${found}, expected at most ${MAX_ANSWERS} answers in all`, {
      param: 'prompt',
    });
  }
  if ((read.best_of ?? n) !== n)
    throw new ApiProblem('invalid', `best_of: found ${read.best_of}, expected n, which is ${n}`, {
      param: 'best_of',
    });
  return {
    model: read.model,
    prompts,
    tools: [],
    n,
    sampling: samplingOf(read, read.stop, read.max_tokens ?? USUAL_TOKENS),
    seed: read.seed ?? null,
    isStreamed: read.stream === true,
    withLogprobs: read.logprobs === 0,
    withTokenIds: read.return_token_ids === true,
    hasParallelCalls: true,
    withUsage: read.stream_options?.include_usage === true,
  };
}

function promptsOf(prompt: z.output<typeof schema>['prompt']): Prompt[] {
  if (typeof prompt === 'string') return [prompt];
  if (typeof prompt[0] === 'number') return [{ tokenIds: prompt as number[] }];
  return (prompt as (string | number[])[]).map((one) => (typeof one === 'string' ? one : { tokenIds: one }));
}

function completionsBody(asked: CompletionsRequest, answers: readonly Answer[], facts: CallFacts): object {
  return {
    id: `cmpl-${facts.id}`,
    object: 'text_completion',
    created: facts.createdAt,
    model: facts.model,
    choices: answers.map((answer, index) => ({
      index,
      text: answer.completion.text,
      logprobs: new TextLogprobs().of(answer.tokenTexts, answer.completion.logprobs),
      finish_reason: finishReason(answer),
      ...(asked.withTokenIds && {
        token_ids: answer.completion.tokenIds,
        prompt_token_ids: answer.completion.promptTokenIds,
      }),
    })),
    usage: openAiUsage(answers, asked.n),
  };
}
