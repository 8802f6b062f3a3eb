import type { Episode } from '@forge/contracts';
import { Graph, mul, type Tensor } from '@forge/graph';
import { grpo } from './algorithms/grpo';
import { checkAlgorithm, checkEnvironment, checkReward, checkRollout, checkTools } from './check-user-module';
import { calculator } from './environments/calculator';
import { defineEnvironment } from './environments/environment';
import { environmentRollout } from './environments/interactive-rollout';
import type { LossTerms } from './losses/loss';
import { completionOf, sampleOf } from './rewards/completion.fixture';
import { defaultRollout } from './rollouts/rollout';
import type { RolloutContext } from './rollouts/rollout';

const code = 'CONFIG_MODULE_UNLOADABLE';

describe('checkAlgorithm', () => {
  it('passes an algorithm', () => {
    const { name, advantage, needsReference } = checkAlgorithm(grpo({ klCoefficient: 1 }), 'mine.ts');
    expect([name, needsReference, advantage([1, 0], [])[0]]).toEqual([
      'grpo',
      true,
      expect.closeTo(0.707, 3),
    ]);
  });

  it('calls the methods of a class on its object', async () => {
    class Base {
      #scale = 3;
      get name(): string {
        return 'mine';
      }
      get needsReference(): boolean {
        return this.#scale > 2;
      }
      advantage(rewards: readonly number[]): number[] {
        return rewards.map((reward) => this.#scale * reward);
      }
      isInformative(rewards: readonly number[]): boolean {
        return this.advantage(rewards)[0] === this.#scale;
      }
      rollout(): Promise<Episode[]> {
        return Promise.resolve(Array.from({ length: this.#scale }));
      }
      loss(terms: LossTerms): { loss: Tensor; metrics: object } {
        return { loss: mul(terms.logprobs, this.#scale), metrics: {} };
      }
    }
    const { name, needsReference, advantage, isInformative, rollout, loss } = checkAlgorithm(
      new (class extends Base {})(),
      'mine.ts',
    );
    expect([name, needsReference, advantage([1, 2], []), isInformative([1], [])]).toEqual([
      'mine',
      true,
      [3, 6],
      true,
    ]);
    expect(await rollout({} as RolloutContext)).toHaveLength(3);
    const logprobs = new Graph().input('logprobs', 'float32', ['B', 'T']);
    expect(loss({ logprobs } as LossTerms).loss.shape).toEqual(['B', 'T']);
  });

  it('takes the parts it need not have', () => {
    class Whole {
      #scale = 2;
      name = 'whole';
      needsReference = false;
      critic = { gamma: 1, lambda: 0.95, whitening: 'unbiased', learningRate: 1e-5, loss: () => undefined };
      shape(): number[] {
        return [this.#scale];
      }
      acrossBatch(): number[][] {
        return [[this.#scale]];
      }
      advantage = (): number[] => [];
      isInformative = (): boolean => true;
      rollout = (): unknown => null;
      loss = (): unknown => null;
    }
    const { shape, acrossBatch, critic } = checkAlgorithm(new Whole(), 'mine.ts');
    expect([shape([]), acrossBatch([])]).toEqual([[2], [[2]]]);
    expect(critic).toMatchObject({ gamma: 1, lambda: 0.95 });
    const { name, needsReference, rollout, advantage, loss, isInformative } = grpo();
    const required = { name, needsReference, rollout, advantage, loss, isInformative };
    const filled = checkAlgorithm(required, 'mine.ts');
    expect(filled.shape([{ reward: 4 }] as Episode[])).toEqual([4]);
    expect(filled.acrossBatch([{ rewards: [1], advantages: [3], tokens: [1] }])).toEqual([[3]]);
    expect(filled.critic).toBeNull();
  });

  it.each<[unknown, string]>([
    [{ ...grpo(), shape: 3 }, "mine.ts: found number 'shape', expected an algorithm"],
    [{ ...grpo(), critic: true }, "mine.ts: found boolean 'critic', expected an algorithm"],
    [{ ...grpo(), critic: { gamma: 1 } }, "mine.ts: found no number 'lambda', expected a critic"],
    [undefined, 'mine.ts: found undefined, expected an algorithm'],
    [null, 'mine.ts: found null, expected an algorithm'],
    [
      { name: 'x' },
      "mine.ts: found no function 'rollout', expected an algorithm, as defineAlgorithm() makes it",
    ],
    [{ ...grpo(), loss: 1 }, "mine.ts: found number 'loss', expected an algorithm"],
  ])('names what is wrong with %p', (value, message) => {
    expect(() => checkAlgorithm(value, 'mine.ts')).toThrow(expect.objectContaining({ code }));
    expect(() => checkAlgorithm(value, 'mine.ts')).toThrow(message);
  });
});

describe('checkReward', () => {
  it('passes a reward', () => {
    const { name, score } = checkReward({ name: 'mine', score: () => 1 }, 'mine.ts');
    expect([name, score(sampleOf(), 'a', completionOf('a'))]).toEqual(['mine', 1]);
  });

  it('calls the methods of a class on its object', () => {
    class Judge {
      #calls = 0;
      get name(): string {
        return 'judge';
      }
      score(): number {
        return (this.#calls += 1);
      }
    }
    const { name, score } = checkReward(new (class extends Judge {})(), 'mine.ts');
    const scores = [1, 2].map(() => score(sampleOf(), 'a', completionOf('a')));
    expect([name, scores]).toEqual(['judge', [1, 2]]);
  });

  it('names what is wrong', () => {
    expect(() => checkReward({ name: 'mine' }, 'mine.ts')).toThrow(
      "mine.ts: found no function 'score', expected a reward",
    );
    expect(() => checkReward(() => 1, 'mine.ts')).toThrow('mine.ts: found function, expected a reward');
  });
});

describe('what a rollout is made of', () => {
  it('passes what toolRollout, defineTools and defineEnvironment make', () => {
    const environment = defineEnvironment({ reset: () => 'go', step: () => ({ done: true }) });
    const rollout = environmentRollout({ environment });
    expect(checkRollout(rollout, 'mine.ts')).toBe(rollout);
    expect(checkEnvironment(environment, 'mine.ts')).toBe(environment);
    expect(checkTools(calculator(), 'mine.ts')).toHaveProperty('open');
  });

  it.each<[(value: unknown, path: string) => unknown, string]>([
    [checkRollout, 'mine.ts: found object, expected a function of the options that makes a rollout'],
    [checkTools, "mine.ts: found no function 'open', expected tools, as defineTools() makes them"],
    [checkEnvironment, "mine.ts: found no function 'open', expected an environment, as defineEnvironment()"],
  ])('%p names what is wrong', (check, message) => {
    expect(() => check({}, 'mine.ts')).toThrow(expect.objectContaining({ code }));
    expect(() => check({}, 'mine.ts')).toThrow(message);
  });

  it('keeps the default rollout of an algorithm known as such', () => {
    expect(checkAlgorithm(grpo(), 'mine.ts').rollout).toBe(defaultRollout);
  });
});
