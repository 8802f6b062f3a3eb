import { thisProc } from '@forge/actors';
import { ComputeAdvantages } from './compute-advantages';

describe('ComputeAdvantages', () => {
  it.each([
    [
      [1, 0, 0, 0],
      [1.4997, -0.4999, -0.4999, -0.4999],
    ],
    [
      [1, 1, 0, 0],
      [0.865875, 0.865875, -0.865875, -0.865875],
    ],
    [
      [0.5, 0.5],
      [0, 0],
    ],
  ])('gives %j the advantages %j, as torchforge does', async (rewards, expected) => {
    const advantages = await thisProc().spawn('advantages', ComputeAdvantages);
    const found = await advantages.compute.callOne(rewards);
    found.forEach((advantage, i) => expect(advantage).toBeCloseTo(expected[i]!, 4));
    expect(await advantages.compute.callOne(rewards.map((reward) => ({ reward })))).toEqual(found);
    await advantages.stop();
  });

  it('computes those of the algorithm it is given', async () => {
    const algorithm = { name: 'grpo', normalizeByStd: false } as const;
    const advantages = await thisProc().spawn('advantages', ComputeAdvantages, { algorithm });
    expect(await advantages.compute.callOne([1, 0])).toEqual([0.5, -0.5]);
    await advantages.stop();
  });
});
