import type { Episode } from '@forge/contracts';
import { evaluateLoss } from '../losses/loss.fixture';
import { ppo } from './ppo';

const episode = (reward: number, mask: (0 | 1)[]): Episode => ({
  tokenIds: Int32Array.from(mask, () => 1),
  mask: Uint8Array.from(mask),
  logprobs: Float32Array.from(mask, (m) => -m),
  referenceLogprobs: Float32Array.from(mask, (m) => -1.5 * m),
  versions: Int32Array.from(mask, (m) => m - 1),
  reward,
  rewards: {},
  text: '',
});
const episodes = [episode(1, [0, 1, 1]), episode(0, [0, 1, 0])];

describe('ppo', () => {
  it('leaves rewards to its value model, and takes groups of equal ones too', () => {
    const { shape, advantage, acrossBatch, isInformative, critic, needsReference } = ppo();
    const rewards = shape(episodes);
    expect(advantage(rewards, episodes)).toEqual([1, 0]);
    expect(acrossBatch([{ rewards, advantages: [1, 0], tokens: [2, 1] }])).toEqual([[1, 0]]);
    expect(isInformative([0, 0], [0, 0])).toBe(true);
    expect(critic).toMatchObject({ gamma: 1, lambda: 1, whitening: 'unbiased', learningRate: null });
    expect(needsReference).toBe(false);
  });

  it('takes the divergence off the reward token by token', () => {
    const { shape, advantage } = ppo({ klCoefficient: 0.1, klIn: 'reward', klEstimator: 'k1' });
    // k1 is 0.5 at each chosen token.
    expect(advantage(shape(episodes), episodes)).toEqual([
      [0, expect.closeTo(-0.05, 12), expect.closeTo(0.95, 12)],
      [0, expect.closeTo(-0.05, 12), 0],
    ]);
  });

  it('clips values by 0.2 unless told otherwise', () => {
    const lossCase = { logprobs: [[0]], advantages: [0], values: [[1]], oldValues: [[0]], returns: [[2]] };
    const lossOf = (valueClip?: number | null) =>
      evaluateLoss(ppo({ critic: { valueClip } }).critic!.loss, lossCase, 'values').loss;
    expect(lossOf()).toBeCloseTo(1.8 ** 2 / 2, 6);
    expect(lossOf(0.5)).toBeCloseTo(1.5 ** 2 / 2, 6);
    expect(lossOf(null)).toBeCloseTo(1 / 2, 12);
  });

  it("passes on what the value model's optimizer is told", () => {
    const { critic } = ppo({ critic: { gamma: 0.99, lambda: 0.95, whitening: 'none', learningRate: 1e-5 } });
    expect(critic).toMatchObject({ gamma: 0.99, lambda: 0.95, whitening: 'none', learningRate: 1e-5 });
  });
});
