import { combineRewards, type Reward } from '@forge/rl';
import type { ScoreItem } from '@forge/contracts';
import { scoreEach } from './score';

const item = (id: string, text: string): ScoreItem => ({
  sample: { id, prompt: '1+1=', answer: '2' },
  completion: { text, promptTokenIds: [1], tokenIds: [2], logprobs: [-1], versions: [0], stopReason: 'end' },
});
const reward: Reward = {
  name: 'picky',
  score: (_sample, text) => {
    if (text === 'throw') throw new TypeError('boom');
    if (text === 'never') return new Promise(() => undefined);
    return Number(text);
  },
};
const rewards = combineRewards([{ reward, weight: 2 }]);

describe('scoreEach', () => {
  it('gives weighted sum and raw value for each item, in order', async () => {
    expect(await scoreEach(rewards, [item('a', '1'), item('b', '0.25')], 5_000)).toEqual([
      { score: { reward: 2, rewards: { picky: 1 } } },
      { score: { reward: 0.5, rewards: { picky: 0.25 } } },
    ]);
  });

  it('reports a reward that throws, is not finite or never comes for its own item only', async () => {
    const items = [item('a', 'throw'), item('b', 'NaN'), item('c', '1'), item('d', 'never')];
    const results = await scoreEach(rewards, items, 200);
    expect(results).toMatchObject([
      {
        error: {
          message: 'boom',
          details: { sampleId: 'a', stack: expect.stringContaining('score.test') as string },
        },
      },
      { error: { code: 'NUMERIC_NON_FINITE' } },
      { score: { reward: 2 } },
      { error: { code: 'TRANSIENT_TIMEOUT', details: { sampleId: 'd' } } },
    ]);
  });

  it('refuses a request that is none', async () => {
    await expect(scoreEach(rewards, [{ sample: {} } as never], 5_000)).rejects.toMatchObject({
      code: 'CONTRACT_INVALID_MESSAGE',
    });
  });
});
