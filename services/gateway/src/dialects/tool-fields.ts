import type { ToolCall, ToolSpec } from '@forge/contracts';
import { z } from 'zod';
import { ApiProblem } from './api-problem';

/** Tools of a request at most. */
export const MAX_TOOLS = 128;

/** The name of a tool, as OpenAI and Anthropic have it. */
const nameSchema = z
  .string()
  .regex(/^[\w.-]{1,128}$/, 'expected 1 to 128 letters, digits, dots, underscores and hyphens');

/** A tool as a function of OpenAI's APIs. */
export const functionSchema = z.object({
  name: nameSchema,
  description: z.string().nullish(),
  parameters: z.record(z.string(), z.unknown()).nullish(),
});

export function toolOf({ name, description, parameters }: z.output<typeof functionSchema>): ToolSpec {
  return {
    name,
    description: description ?? '',
    parameters: parameters ?? { type: 'object', properties: {} },
  };
}

export { nameSchema as toolNameSchema };

const NO_CONSTRAINT =
  'only "auto" and "none" are possible: making a model call a tool needs constrained decoding, which this server does not have yet';

/** Choices of tools, of all APIs: the ones that need no constraint. */
export const openToolChoice = z.enum(['auto', 'none'], { error: NO_CONSTRAINT });

export const CONSTRAINED = 'constrained decoding, which this server does not have yet';

/**
 * The arguments of a call that a client sends back: OpenAI's APIs have them as text.
 *
 * @throws {ApiProblem} when they are not an object in JSON.
 */
export function readArguments(text: string, param: string): ToolCall['arguments'] {
  const wrong = (): ApiProblem =>
    new ApiProblem('invalid', `${param}: expected a JSON object as text`, { param });
  let value: unknown;
  try {
    // A model that calls a tool without arguments may send nothing.
    value = JSON.parse(text.trim() === '' ? '{}' : text);
  } catch {
    throw wrong();
  }
  if (typeof value !== 'object' || value === null || Array.isArray(value)) throw wrong();
  return value as ToolCall['arguments'];
}

/** The calls of an answer that are told. */
export function toldCalls(
  calls: readonly ToolCall[] | undefined,
  hasParallelCalls: boolean,
): readonly ToolCall[] {
  return hasParallelCalls ? (calls ?? []) : (calls ?? []).slice(0, 1);
}
