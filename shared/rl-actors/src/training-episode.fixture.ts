import type { TrainingEpisode } from './training-episode';

/** A prompt of two tokens and three the policy chose, of the given versions. */
export function trainingEpisode(advantage: number, versions: readonly number[] = [0, 0, 0]): TrainingEpisode {
  return {
    tokenIds: Int32Array.of(3, 4, 5, 6, 7),
    mask: Uint8Array.of(0, 0, 1, 1, 1),
    logprobs: Float32Array.of(0, 0, -1, -2, -0.5),
    versions: Int32Array.of(-1, -1, ...versions),
    reward: 0,
    rewards: {},
    text: '',
    advantage,
  };
}
