import { neg } from '@forge/graph';
import { tokenMean, type Loss } from '@forge/rl';
import type { TrainEpisode } from './micro-batches';

/** Cross-entropy of the trained tokens, averaged over all of the batch's trained tokens. */
export const supervisedLoss: Loss = (terms) => tokenMean(neg(terms.logprobs), terms);

/** An example to imitate: the answer is trained, the prompt is not. */
export function supervisedEpisode(
  promptTokenIds: readonly number[],
  answerTokenIds: readonly number[],
): TrainEpisode {
  const tokenIds = [...promptTokenIds, ...answerTokenIds];
  return {
    tokenIds,
    mask: tokenIds.map((_, t) => (t < promptTokenIds.length ? 0 : 1)),
    logprobs: tokenIds.map(() => 0),
    versions: tokenIds.map(() => -1),
    advantage: 1,
  };
}
