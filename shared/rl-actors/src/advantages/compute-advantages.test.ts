import { thisProc } from '@forge/actors';
import { trainingEpisode } from '../training-episode.fixture';
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

  it('gives the parts of a rollout the worth of the rollout', async () => {
    const algorithm = { name: 'grpo', normalizeByStd: false } as const;
    const advantages = await thisProc().spawn('advantages', ComputeAdvantages, { algorithm });
    const part = (rollout: number, reward: number) => ({
      ...trainingEpisode(0),
      ...{ rollout, reward },
    });
    expect(await advantages.compute.callOne([part(0, 1), part(0, 1), part(1, 0)])).toEqual([0.5, 0.5, -0.5]);
    const cut = [0, 0].map((rollout) => ({ rollout, reward: 1 }));
    await expect(advantages.compute.callOne(cut)).rejects.toThrow(
      'rollout 0 of the group has several parts: give its whole episodes',
    );
    await advantages.stop();
  });

  it('computes those of the algorithm it is given', async () => {
    const algorithm = { name: 'grpo', normalizeByStd: false } as const;
    const advantages = await thisProc().spawn('advantages', ComputeAdvantages, { algorithm });
    expect(await advantages.compute.callOne([1, 0])).toEqual([0.5, -0.5]);
    await advantages.stop();
  });
});
