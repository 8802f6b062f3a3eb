import type { TrainingEpisode } from './training-episode';

/** A prompt of two tokens and three the policy chose, of the given versions. */
export function trainingEpisode(advantage: number, versions: readonly number[] = [0, 0, 0]): TrainingEpisode {
  return {
    tokenIds: [3, 4, 5, 6, 7],
    mask: [0, 0, 1, 1, 1],
    logprobs: [0, 0, -1, -2, -0.5],
    versions: [-1, -1, ...versions],
    reward: 0,
    rewards: {},
    text: '',
    advantage,
  };
}
