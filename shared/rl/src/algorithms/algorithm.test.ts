import type { Episode } from '@forge/contracts';
import { mul, neg, type Tensor } from '@forge/graph';
import { tokenMean } from '../losses/batch-mean';
import { evaluateLoss } from '../losses/loss.fixture';
import type { LossTerms } from '../losses/loss';
import { defaultRollout, type RolloutContext } from '../rollouts/rollout';
import { defineAlgorithm, type AlgorithmDefinition } from './algorithm';

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
      rollout(): Promise<Episode[]> {
        return Promise.resolve(Array.from({ length: this.#scale }));
      }
      loss(terms: LossTerms): Tensor {
        return tokenMean(mul(terms.logprobs, this.#scale), terms);
      }
    }
    const mine = defineAlgorithm(new (class extends Mine {})());
    expect([mine.name, mine.needsReference, mine.advantage([2])]).toEqual(['custom', true, [6]]);
    expect(mine.isInformative([], [])).toBe(true);
    expect(await mine.rollout({} as RolloutContext)).toHaveLength(3);
    expect(evaluateLoss(mine.loss, { logprobs: [[-1]], advantages: [7] }).loss).toBe(-3);
  });
});
