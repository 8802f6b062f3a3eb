import {
  countTrainedTokens,
  cutMicroBatches,
  rolloutOfEach,
  type MicroBatch,
  type TrainEpisode,
} from './micro-batches';

/** A part of a batch that one optimizer step is made of. */
export interface Minibatch {
  microBatches: MicroBatch[];
  /** Trained tokens, sequences, and rollouts, which may be several of these: what its means divide by. */
  tokens: number;
  sequences: number;
  rollouts: number;
}

export interface MinibatchOptions {
  /** Padded tokens of a micro-batch at most. */
  microBatchTokens: number;
  /** Advantages are rewards: a single one is of the last token. */
  isReward: boolean;
  /** Tokens of the reference that every episode must have in each place. */
  referenceTop?: number;
  /** Parts of a batch at most; a batch has no more than it has rollouts. */
  minibatches: number;
}

/**
 * A batch in parts of as many rollouts each, one more or less, in the order of the batch: the same batch always gives the same
 * parts, the episodes of a rollout stay together, and the rollouts of a prompt side by side.
 *
 * @throws {ForgeError} CONTRACT_INVALID_MESSAGE as `cutMicroBatches`.
 */
export function cutMinibatches(
  episodes: readonly TrainEpisode[],
  { minibatches, microBatchTokens, ...options }: MinibatchOptions,
): Minibatch[] {
  const rolloutOf = rolloutOfEach(episodes);
  const rollouts = (rolloutOf.at(-1) ?? -1) + 1;
  const parts = Math.min(minibatches, rollouts);
  const start = (part: number): number => Math.floor((part * rollouts) / parts);
  return Array.from({ length: parts }, (_, part) => {
    const [from, to] = [start(part), start(part + 1)];
    const chosen = [...rolloutOf.keys()].filter((i) => rolloutOf[i]! >= from && rolloutOf[i]! < to);
    return {
      microBatches: cutMicroBatches(episodes, microBatchTokens, { ...options, chosen }),
      tokens: chosen.reduce((count, index) => count + countTrainedTokens(episodes[index]!), 0),
      sequences: chosen.length,
      rollouts: to - from,
    };
  });
}
