import type { Episode } from '@forge/contracts';
import { add, mul, neg, sub, type Tensor } from '@forge/graph';
import { tokenMean } from '../losses/batch-mean';
import { evaluateLoss } from '../losses/loss.fixture';
import type { LossTerms } from '../losses/loss';
import { defaultRollout, type RolloutContext } from '../rollouts/rollout';
import { defineAlgorithm, type AlgorithmDefinition, type JudgedGroup } from './algorithm';

const advantage = (rewards: readonly number[]) => [...rewards];

describe('defineAlgorithm', () => {
  const algorithm = defineAlgorithm({ advantage, loss: (terms) => tokenMean(neg(terms.logprobs), terms) });

  it('fills in the rest', () => {
    expect(algorithm).toMatchObject({ name: 'custom', rollout: defaultRollout, needsReference: false });
    expect([[0, 0], [0, 1], []].map((group) => algorithm.isInformative(group, group))).toEqual([
      false,
      true,
      false,
    ]);
    expect(
      [
        [[0, 0]],
        [
          [0, 0],
          [0, 1],
        ],
      ].map((group) => algorithm.isInformative([], group)),
    ).toEqual([false, true]);
    expect(algorithm.shape([{ reward: 2 }, { reward: 0.5 }] as Episode[])).toEqual([2, 0.5]);
    const groups = [{ rewards: [1], advantages: [[0, 3]], tokens: [1] }];
    expect(algorithm.acrossBatch(groups)).toEqual([[[0, 3]]]);
    expect(algorithm.critic).toBeNull();
  });

  it('gives a loss that returns a tensor the metrics every algorithm has', () => {
    const { loss, metrics } = evaluateLoss(algorithm.loss, {
      logprobs: [[-2, -4]],
      behaviour: [[-2, -4]],
      advantages: [1],
    });
    expect(loss).toBeCloseTo(3, 12);
    expect(metrics).toEqual({ entropy: 0, kl_behaviour: 0, importance_ratio: 1, importance_ratio_square: 1 });
  });

  it("keeps what the author gives, the loss's own metrics too", () => {
    const mine = defineAlgorithm({
      name: 'mine',
      advantage,
      needsReference: true,
      isInformative: () => true,
      loss: (terms) => ({
        loss: tokenMean(terms.logprobs, terms),
        metrics: { advantage: tokenMean(terms.advantages, terms) },
      }),
    });
    expect(mine).toMatchObject({ name: 'mine', needsReference: true });
    expect(mine.isInformative([], [])).toBe(true);
    expect(evaluateLoss(mine.loss, { logprobs: [[-1]], advantages: [7] }).metrics).toMatchObject({
      advantage: 7,
      kl_reference: Math.E - 2,
    });
  });

  it('takes a definition of a class, whose methods use its private fields', async () => {
    class Mine implements AlgorithmDefinition {
      #scale = 3;
      get needsReference(): boolean {
        return this.#scale === 3;
      }
      advantage(rewards: readonly number[]): number[] {
        return rewards.map((reward) => this.#scale * reward);
      }
      isInformative(): boolean {
        return this.#scale === 3;
      }
      shape(episodes: readonly Episode[]): number[] {
        return episodes.map(() => this.#scale);
      }
      acrossBatch(groups: readonly JudgedGroup[]): number[][] {
        return groups.map(({ tokens }) => tokens.map((count) => count * this.#scale));
      }
      rollout(): Promise<Episode[]> {
        return Promise.resolve(Array.from({ length: this.#scale }));
      }
      loss(terms: LossTerms): Tensor {
        return tokenMean(mul(terms.logprobs, this.#scale), terms);
      }
    }
    const mine = defineAlgorithm(new (class extends Mine {})());
    expect([mine.name, mine.needsReference, mine.advantage([2], [])]).toEqual(['custom', true, [6]]);
    expect(mine.isInformative([], [])).toBe(true);
    expect(mine.shape([{}] as Episode[])).toEqual([3]);
    expect(mine.acrossBatch([{ rewards: [], advantages: [], tokens: [2] }])).toEqual([[6]]);
    expect(await mine.rollout({} as RolloutContext)).toHaveLength(3);
    expect(evaluateLoss(mine.loss, { logprobs: [[-1]], advantages: [7] }).loss).toBe(-3);
  });

  it.each([
    'behaviour',
    'old',
    'reference',
    'advantages',
    'lag',
    'values',
    'oldValues',
    'returns',
    'entropy',
  ] as const)('shows a loss zeros in place of %s where the mask is 0', (term) => {
    const loss = ({ logprobs, ...terms }: LossTerms) =>
      tokenMean(add(logprobs, mul(terms[term], terms[term])), { ...terms, mask: add(mul(terms.mask, 0), 1) });
    const at = (padding: number) =>
      evaluateLoss(defineAlgorithm({ advantage, loss }).loss, {
        logprobs: [[-1, -2]],
        advantages: [[1, 1]],
        mask: [[1, 0]],
        [term]: [[3, padding]],
      }).loss;
    expect(at(1e30)).toBe(at(0));
    expect(at(0)).toBeCloseTo(8, 5);
  });

  it("shows a critic's loss the same, and takes its gradient in the values", () => {
    const loss = ({ values, returns, ...terms }: LossTerms) =>
      tokenMean(mul(sub(values, returns), sub(values, returns)), terms);
    const { critic } = defineAlgorithm({
      advantage,
      loss: ({ logprobs }) => logprobs,
      critic: { gamma: 1, lambda: 1, whitening: 'unbiased', learningRate: 1e-3, loss },
    });
    expect(critic).toMatchObject({ gamma: 1, lambda: 1, whitening: 'unbiased', learningRate: 1e-3 });
    const lossCase = {
      logprobs: [[0, 0]],
      advantages: [0],
      values: [[2, 1e30]],
      returns: [[5, 0]],
      mask: [[1, 0]],
    };
    expect(evaluateLoss(critic!.loss, lossCase, 'values')).toMatchObject({ loss: 9, gradient: [[-6, 0]] });
  });
});
