import { grpo } from './algorithms/grpo';
import { checkAlgorithm, checkReward } from './check-user-module';

const code = 'CONFIG_MODULE_UNLOADABLE';

describe('checkAlgorithm', () => {
  it('passes an algorithm', () => {
    const algorithm = grpo();
    expect(checkAlgorithm(algorithm, 'mine.ts')).toBe(algorithm);
  });

  it.each<[unknown, string]>([
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
    const reward = { name: 'mine', score: () => 1 };
    expect(checkReward(reward, 'mine.ts')).toBe(reward);
  });

  it('names what is wrong', () => {
    expect(() => checkReward({ name: 'mine' }, 'mine.ts')).toThrow(
      "mine.ts: found no function 'score', expected a reward",
    );
    expect(() => checkReward(() => 1, 'mine.ts')).toThrow('mine.ts: found function, expected a reward');
  });
});
