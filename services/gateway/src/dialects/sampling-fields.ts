import { samplingSchema, type Sampling } from '@forge/contracts';
import { z } from 'zod';

/** Answers to one prompt at most. */
export const MAX_ANSWERS = 128;
const { temperature, topP, stop } = samplingSchema.shape;

/** Tokens of an answer at most, where the client names no number: as many as the model has room for. */
const MAX_TOKENS = samplingSchema.shape.maxTokens.unwrap().maxValue!;

const stops = stop.unwrap();
export const stopField = z
  .union([z.string().min(1), stops])
  .nullish()
  .transform((value) => (typeof value === 'string' ? [value] : (value ?? [])));
export const tokensField = z.int().min(1).nullish();

/** Fields that several APIs have. */
export const samplingFields = {
  temperature: temperature.unwrap().nullish(),
  top_p: topP.unwrap().nullish(),
  /** Numbers below one switch it off, as in other servers. */
  top_k: z.int().min(-1).nullish(),
};

interface SamplingBody {
  temperature?: number | null | undefined;
  top_p?: number | null | undefined;
  top_k?: number | null | undefined;
}

/** Fields that say how answers are drawn; their defaults are those of OpenAI's servers. */
export function samplingOf(
  { temperature, top_p, top_k }: SamplingBody,
  stop: readonly string[],
  maxTokens: number | null | undefined,
): Sampling {
  return {
    temperature: temperature ?? 1,
    topP: top_p ?? 1,
    topK: Math.max(0, top_k ?? 0),
    maxTokens: Math.min(maxTokens ?? MAX_TOKENS, MAX_TOKENS),
    stop: [...stop],
  };
}

export const seedField = z.number().refine(Number.isInteger, 'expected an integer').nullish();
export const answersField = z.int().min(1).max(MAX_ANSWERS).nullish();
export const flagField = z.boolean().nullish();
