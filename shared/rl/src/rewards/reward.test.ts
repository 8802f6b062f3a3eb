import { completionOf, sampleOf } from './completion.fixture';
import { combineRewards, type Reward } from './reward';

const constant = (name: string, value: unknown): Reward => ({ name, score: () => value as number });

describe('combineRewards', () => {
  it('adds up weighted values and keeps the raw ones', async () => {
    const handle = combineRewards([
      { reward: constant('a', 0.5), weight: 2 },
      {
        reward: { name: 'b', score: (sample, text) => Promise.resolve(sample.answer === text ? 1 : 0) },
        weight: -0.25,
      },
    ]);
    const score = await handle.score(sampleOf('19'), completionOf('19'));
    expect(score).toEqual({ reward: 0.75, rewards: { a: 0.5, b: 1 } });
  });

  it.each([[NaN], [Infinity], [undefined], ['1']])('rejects a reward that returns %p', async (value) => {
    const handle = combineRewards([{ reward: constant('mine', value), weight: 1 }]);
    await expect(handle.score(sampleOf(), completionOf(''))).rejects.toMatchObject({
      code: 'NUMERIC_NON_FINITE',
      message: `reward 'mine' returned ${String(value)} for sample 's', expected a finite number`,
    });
  });

  it('refuses two rewards of one name', () => {
    const part = { reward: constant('a', 1), weight: 1 };
    expect(() => combineRewards([part, part])).toThrow(expect.objectContaining({ code: 'CONFIG_INVALID' }));
  });
});
