import { hasTurns, needsGateway, type Recipe } from '@forge/config';
import type { ModelConfig } from '@forge/model';

/** Work of one rollout at most, in tokens; texts of tools, environments and agents are not known before and count as none. */
export interface RolloutPlan {
  /** Answers of the model. */
  turns: number;
  /** Tokens of all answers together. */
  generatedTokens: number;
  /** Tokens of the prompts of all turns together: each is read anew. */
  readTokens: number;
  /** Tokens of the longest context. */
  contextTokens: number;
}

/**
 * The longest rollout that can come of a prompt of `promptTokens`: as many answers as it may have, each as long as it may be,
 * as far as the model has positions.
 */
export function rolloutPlan(
  recipe: Pick<Recipe, 'sampling' | 'rollout'>,
  { maxPositions }: Pick<ModelConfig, 'maxPositions'>,
  promptTokens: number,
): RolloutPlan {
  const { sampling, rollout } = recipe;
  if (!hasTurns(recipe) && !needsGateway(recipe)) {
    const contextTokens = promptTokens + sampling.maxTokens;
    return { turns: 1, generatedTokens: sampling.maxTokens, readTokens: promptTokens, contextTokens };
  }
  const { maxTurns, maxTokens = Infinity } = rollout;
  const room = Math.max(1, maxPositions - promptTokens);
  const generatedTokens = Math.min(maxTurns * sampling.maxTokens, maxTokens, room);
  const turns = Math.min(maxTurns, generatedTokens);
  // Contexts grow by the same from turn to turn.
  const readTokens = turns * promptTokens + (generatedTokens * (turns - 1)) / 2;
  return { turns, generatedTokens, readTokens, contextTokens: promptTokens + generatedTokens };
}
