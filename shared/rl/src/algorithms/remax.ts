/*
 * ReMax (Li et al., 2023): each answer against the policy's greedy one, which costs one more completion per prompt and is not
 * trained on. Differs from the paper:
 * - several answers per prompt and PPO's clipped loss, where the paper has one and REINFORCE;
 * - the greedy answer's reward stands among the rewards of each episode as `greedy`, without the divergence or a length penalty.
 */
import { clippedRatio, type ClipOptions } from '../losses/clipped-ratio';
import { episode } from '../rollouts/episode';
import type { Rollout } from '../rollouts/rollout';
import type { Algorithm } from './algorithm';
import { policyAlgorithm, type PolicyOptions } from './policy-algorithm';

export type ReMaxOptions = ClipOptions & PolicyOptions;

/** Generates a group and one greedy completion; every episode's rewards say what that one got. */
export const greedyBaselineRollout: Rollout = async ({ sample, policy, reward, groupSize }) => {
  const [completions, [greedy]] = await Promise.all([
    policy.generate(sample.prompt, { n: groupSize }),
    policy.generate(sample.prompt, { n: 1, temperature: 0 }),
  ]);
  const [baseline, ...scores] = await Promise.all(
    [greedy!, ...completions].map((completion) => reward.score(sample, completion)),
  );
  return completions.map((completion, i) => {
    const { reward: value, rewards } = scores[i]!;
    return episode(completion, { reward: value, rewards: { ...rewards, greedy: baseline!.reward } });
  });
};

export function remax(options: ReMaxOptions = {}): Algorithm {
  return policyAlgorithm(options, {
    name: 'remax',
    rollout: greedyBaselineRollout,
    advantage: (rewards, episodes) => rewards.map((reward, i) => reward - episodes[i]!.rewards['greedy']!),
    surrogate: clippedRatio(options),
    normalization: 'token',
  });
}
