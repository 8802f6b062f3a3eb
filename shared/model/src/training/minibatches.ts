import { countTrainedTokens, cutMicroBatches, type MicroBatch, type TrainEpisode } from './micro-batches';

/** A part of a batch that one optimizer step is made of. */
export interface Minibatch {
  microBatches: MicroBatch[];
  /** Trained tokens, and sequences: what its means divide by. */
  tokens: number;
  sequences: number;
}

export interface MinibatchOptions {
  /** Padded tokens of a micro-batch at most. */
  microBatchTokens: number;
  /** Advantages are rewards: a single one is of the last token. */
  isReward: boolean;
  /** Parts of a batch at most; a batch has no more than it has episodes. */
  minibatches: number;
}

/**
 * A batch in parts of as many episodes each, one more or less, in the order of the batch: the same batch always gives the same
 * parts, and the episodes of a prompt stay side by side.
 *
 * @throws {ForgeError} CONTRACT_INVALID_MESSAGE as `cutMicroBatches`.
 */
export function cutMinibatches(
  episodes: readonly TrainEpisode[],
  { minibatches, microBatchTokens, isReward }: MinibatchOptions,
): Minibatch[] {
  const parts = Math.min(minibatches, episodes.length);
  const start = (part: number): number => Math.floor((part * episodes.length) / parts);
  return Array.from({ length: parts }, (_, part) => {
    const chosen = Array.from({ length: start(part + 1) - start(part) }, (_, i) => start(part) + i);
    return {
      microBatches: cutMicroBatches(episodes, microBatchTokens, { chosen, isReward }),
      tokens: chosen.reduce((count, index) => count + countTrainedTokens(episodes[index]!), 0),
      sequences: chosen.length,
    };
  });
}
