import type { Completion, Episode } from '@forge/contracts';
import { perAgentAdvantage } from '../advantages/per-agent-advantage';
import type { PolicyHandle, RolloutContext } from '../rollouts/rollout';
import { gdpo } from './gdpo';
import { grpo } from './grpo';
import { maxrl } from './maxrl';
import { opd } from './opd';
import { opo } from './opo';
import { reinforcePlusPlus } from './reinforce-plus-plus';
import { remax } from './remax';
import { dapo } from './dapo';

/** An episode of one prompt token, and as many chosen ones as log-probs. */
const episode = (
  reward: number,
  parts: Partial<Omit<Episode, 'logprobs'>> & { logprobs?: number[] } = {},
) => {
  const { logprobs = [-1, -1], ...rest } = parts;
  return {
    tokenIds: Int32Array.from([1, ...logprobs.map(() => 2)]),
    mask: Uint8Array.from([0, ...logprobs.map(() => 1)]),
    logprobs: Float32Array.from([0, ...logprobs]),
    versions: Int32Array.from([-1, ...logprobs.map(() => 0)]),
    reward,
    rewards: {},
    text: '',
    ...rest,
  } satisfies Episode;
};
const long = (tokens: number): number[] => Array.from({ length: tokens }, () => -1);

describe('maxrl', () => {
  it('refuses rewards whose mean is not positive, with what it expects', () => {
    expect(() => maxrl().advantage([-1, 0], [])).toThrow(
      expect.objectContaining({
        code: 'NUMERIC_LIMIT_EXCEEDED',
        message: expect.stringContaining('the mean reward of a group is -0.5, expected > 0') as string,
      }),
    );
    expect(maxrl().advantage([0, 0], [])).toEqual([0, 0]);
  });
});

describe('opo', () => {
  it('weighs the baseline by the tokens of each answer', () => {
    // (3 x 1 + 1 x 0) / 4
    const episodes = [episode(1, { logprobs: long(3) }), episode(0, { logprobs: long(1) })];
    expect(opo().advantage([1, 0], episodes)).toEqual([0.25, -0.75]);
  });
});

describe('opd', () => {
  const taught = (reward: number) =>
    episode(reward, { logprobs: [-1, -2], referenceLogprobs: Float32Array.of(0, -1.5, -0.5) });

  it('lessens what the teacher finds less likely, token by token, beside the rewards', () => {
    // log policy - log teacher: 0.5 and -1.5; rewards are 0.5 off their mean.
    expect(opd().advantage([1, 0], [taught(1), taught(0)])).toEqual([
      [0, 0.5 - 0.5, 0.5 + 1.5],
      [0, -0.5 - 0.5, -0.5 + 1.5],
    ]);
    const half = opd({ teacherCoefficient: 0.5, teacherDiscount: 0.5 });
    // -0.25 and 0.75, of which the first token takes a half.
    expect(half.advantage([3], [taught(3)])).toEqual([[0, -0.25 + 0.375, 0.75]]);
  });

  it('learns from equal rewards and groups of one, but not where policy and teacher agree', () => {
    const { advantage, isInformative, needsReference } = opd();
    expect(needsReference).toBe(true);
    expect(isInformative([0], advantage([0], [taught(0)]))).toBe(true);
    const agreed = episode(0, { logprobs: [-1, -2], referenceLogprobs: Float32Array.of(0, -1, -2) });
    expect(isInformative([0], advantage([0], [agreed]))).toBe(false);
  });

  it('refuses an episode that no teacher has seen', () => {
    expect(() => opd().advantage([0], [episode(0)])).toThrow(
      'found none, expected the log-probs of the teacher',
    );
  });
});

describe('remax', () => {
  const completion = (id: number): Completion => ({
    text: String(id),
    promptTokenIds: [9],
    tokenIds: [id],
    logprobs: [-1],
    versions: [0],
    stopReason: 'end',
  });

  it('rolls out one greedy answer beside the group, whose reward is the baseline of all', async () => {
    const asked: unknown[] = [];
    const context: RolloutContext = {
      sample: { id: 's', prompt: '1+1=', answer: '2' },
      groupSize: 2,
      policy: {
        generate: (_prompt, options) => {
          asked.push(options);
          return Promise.resolve(
            options?.temperature === 0 ? [completion(5)] : [completion(3), completion(7)],
          );
        },
      } as Pick<PolicyHandle, 'generate'> as PolicyHandle,
      reward: {
        score: (_sample, { tokenIds }) => Promise.resolve({ reward: tokenIds[0]!, rewards: { exact: 1 } }),
      },
    };
    const algorithm = remax();
    const episodes = await algorithm.rollout(context);
    expect(asked).toEqual([{ n: 2 }, { n: 1, temperature: 0 }]);
    expect(episodes.map(({ rewards }) => rewards)).toEqual([
      { exact: 1, greedy: 5 },
      { exact: 1, greedy: 5 },
    ]);
    const advantages = algorithm.advantage(algorithm.shape(episodes), episodes);
    expect(advantages).toEqual([-2, 2]);
    expect(algorithm.isInformative([3, 7], advantages)).toBe(true);
    expect(algorithm.isInformative([5, 5], [0, 0])).toBe(false);
  });
});

describe('reinforce++', () => {
  it('takes groups of equal rewards, since its baseline is that of the batch', () => {
    const { advantage, acrossBatch, isInformative } = reinforcePlusPlus();
    expect(isInformative([0, 0], [0, 0])).toBe(true);
    const groups = [
      [1, 1],
      [0, 0],
    ].map((rewards) => ({ rewards, advantages: advantage(rewards, []), tokens: [2, 2] }));
    expect(acrossBatch(groups)).toEqual([
      [1, 1],
      [-1, -1],
    ]);
  });

  it('weighs long answers more in mean and deviation', () => {
    const { acrossBatch } = reinforcePlusPlus();
    // Mean 0.25 and variance 3/16 over one token of 1 and three of 0.
    const [[first, second]] = acrossBatch([{ rewards: [1, 0], advantages: [1, 0], tokens: [1, 3] }]) as [
      number[],
    ];
    expect(first).toBeCloseTo(0.75 / Math.sqrt(3 / 16), 12);
    expect(second).toBeCloseTo(-0.25 / Math.sqrt(3 / 16), 12);
  });

  it('takes the divergence off token by token, for what is still to come', () => {
    const { advantage, acrossBatch, shape, needsReference } = reinforcePlusPlus({
      klCoefficient: 0.5,
      klIn: 'reward',
      klEstimator: 'k1',
    });
    const one = episode(1, { logprobs: [-1, -2], referenceLogprobs: Float32Array.of(0, -1.5, -4) });
    expect([shape([one]), needsReference]).toEqual([[1], true]);
    // Divergences 0.5 and 2: 1 - 0.5 x 2 = 0 at the last token, less 0.25 at the first.
    const [worth] = advantage([1], [one]);
    expect(worth).toEqual([0, -0.25, 0]);
    const whitened = acrossBatch([{ rewards: [1], advantages: [worth!], tokens: [2] }]);
    // Mean -0.125 and deviation 0.125; the chosen token's 0 can't be told from the prompt's.
    expect(whitened).toEqual([[[1, -1, 1]]]);
  });
});

describe('a divergence in the reward', () => {
  it('is taken off the rewards of whole episodes, summed over their tokens', () => {
    const options = { klCoefficient: 0.5, klIn: 'reward', klEstimator: 'k2' } as const;
    const one = episode(1, { logprobs: [-1, -2], referenceLogprobs: Float32Array.of(0, -1.5, -4) });
    expect(grpo(options).shape([one])).toEqual([1 - 0.5 * (0.125 + 2)]);
    expect(grpo({ ...options, klIn: 'loss' }).shape([one])).toEqual([1]);
  });
});

describe('gdpo', () => {
  const episodes = [
    episode(0, { rewards: { exact: 1, length: 100 } }),
    episode(0, { rewards: { exact: 0, length: 300 } }),
    episode(0, { rewards: { exact: 1, length: 300 } }),
  ];
  const z = (values: number[]) => grpo().advantage(values, []) as number[];

  it('normalises each reward in its group before it adds them up, by their weights', () => {
    const [exact, length] = [z([1, 0, 1]), z([100, 300, 300])];
    const rewards = gdpo({ weights: { exact: 1, length: 0.5 } }).shape(episodes);
    rewards.forEach((reward, i) => {
      expect(reward).toBeCloseTo(exact[i]! + 0.5 * length[i]!, 12);
    });
  });

  it('tells episodes of equal sums apart', () => {
    const even = [episode(1, { rewards: { a: 1, b: 0 } }), episode(1, { rewards: { a: 0, b: 1 } })];
    const { shape, advantage, isInformative } = gdpo({ weights: { a: 2, b: 1 } });
    const rewards = shape(even);
    expect(isInformative(rewards, advantage(rewards, even))).toBe(true);
    expect(grpo().advantage([1, 1], even)).toEqual([0, 0]);
  });
});

describe('shaping', () => {
  it('punishes overlong answers of dapo, at a fifth of the longest by default', () => {
    const { shape } = dapo({ shaping: { overlong: { maxTokens: 10 } } });
    expect([8, 9, 10].map((tokens) => shape([episode(1, { logprobs: long(tokens) })])[0])).toEqual([
      1, 0.5, 0,
    ]);
  });

  it('prefers short answers among right ones, and punishes long wrong ones', () => {
    const lengths = [1, 2, 3];
    const shape = (reward: number) =>
      grpo({ shaping: { length: { weight: 1 } } }).shape(
        lengths.map((tokens) => episode(reward, { logprobs: long(tokens) })),
      );
    expect(shape(1)).toEqual([1.5, 1, 0.5]);
    expect(shape(0)).toEqual([0, 0, -0.5]);
    expect(grpo({ shaping: { length: { weight: 1 } } }).shape([episode(1), episode(0)])).toEqual([1, 0]);
  });

  it('normalises components for any algorithm', () => {
    const { shape } = grpo({ shaping: { normalizeComponents: true, weights: { b: 0 } } });
    const episodes = [episode(5, { rewards: { a: 1, b: 7 } }), episode(5, { rewards: { a: 0, b: 9 } })];
    expect(shape(episodes)).toEqual(grpo().advantage([1, 0], []));
  });
});

describe('perAgentAdvantage', () => {
  it('takes the running mean of an agent as its baseline, and goes on from there', () => {
    const first = perAgentAdvantage([1, -1], ['white', 'black'], {}, 0.5);
    expect(first).toEqual({ advantages: [0.5, -0.5], baselines: { white: 0.5, black: -0.5 } });
    const second = perAgentAdvantage([1, 1], ['white', 'black'], first.baselines, 0.5);
    expect(second).toEqual({ advantages: [0.25, 0.75], baselines: { white: 0.75, black: 0.25 } });
  });
});
