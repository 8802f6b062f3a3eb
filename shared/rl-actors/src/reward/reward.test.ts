import { thisProc } from '@forge/actors';
import type { Completion } from '@forge/contracts';
import { Reward } from './reward';

const sample = { id: 's', prompt: '1+1=', answer: '2' };
const completion = (text: string): Completion => ({
  text,
  promptTokenIds: [1],
  tokenIds: [2, 3],
  logprobs: [-1, -1],
  versions: [0, 0],
  stopReason: 'end',
});

describe('Reward', () => {
  it('gives the weighted sum of its functions', async () => {
    const rewards = [
      { name: 'exact', weight: 2 },
      { name: 'length', targetTokens: 4, weight: -1 },
    ] as const;
    const reward = await thisProc().spawn('reward', Reward, { rewards });
    expect(await reward.evaluateResponse.callOne(sample, completion('2'))).toBe(2 - 0.5);
    const items = ['3', '<2>2'].map((text) => ({ sample, completion: completion(text) }));
    expect(await reward.score.callOne(items)).toEqual([
      { score: { reward: -0.5, rewards: { exact: 0, length: 0.5 } } },
      { score: { reward: 1.5, rewards: { exact: 1, length: 0.5 } } },
    ]);
    expect((await reward.stats.callOne()).busyMs).toBeGreaterThan(0);
    await reward.stop();
  });

  it('refuses a reward it does not know', async () => {
    const config = { rewards: [{ name: 'exakt' }] } as never;
    await expect(thisProc().spawn('reward', Reward, config)).rejects.toMatchObject({
      code: 'CONFIG_INVALID',
      message: expect.stringContaining('did you mean exact?') as string,
    });
  });
});
