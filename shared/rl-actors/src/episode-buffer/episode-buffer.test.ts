import { thisProc } from '@forge/actors';
import { trainingEpisode } from '../training-episode.fixture';
import { EpisodeBuffer } from './episode-buffer';

const spawn = (config: object = {}) =>
  thisProc().spawn('buffer', EpisodeBuffer, { batchSize: 2, maxPolicyAge: 1, ...config });
const versions = (...all: number[]) => all.map((v, i) => trainingEpisode(i, [v, v + 1, v + 2]));

describe('EpisodeBuffer', () => {
  it('keeps episodes in order and counts their age from the oldest token', async () => {
    const buffer = await spawn();
    const [old, fresh] = versions(0, 3);
    for (const one of [old!, fresh!]) await buffer.add.callOne(one);
    expect([await buffer.length.callOne(), await buffer.at.callOne(-1)]).toEqual([2, fresh]);
    expect(await buffer.evict.callOne(2)).toBe(1);
    expect([await buffer.at.callOne(0), await buffer.at.callOne(1)]).toEqual([fresh, null]);
    expect(await buffer.sample.callOne(3)).toBeNull();
    await buffer.clear.callOne();
    expect(await buffer.length.callOne()).toBe(0);
    await buffer.stop();
  });

  it('draws after a restore what it would have drawn', async () => {
    const [first, second] = await Promise.all([spawn({ seed: 5 }), spawn({ seed: 6 })]);
    for (const one of versions(0, 0, 0, 0, 0, 0)) await first.add.callOne(one);
    await first.sample.callOne(0);
    await second.restore.callOne(await first.state.callOne());
    const drawn = await first.sample.callOne(0);
    expect(drawn?.[0]).toHaveLength(2);
    expect(await second.sample.callOne(0)).toEqual(drawn);
    await Promise.all([first.stop(), second.stop()]);
  });

  it('refuses what is no episode, and keeps the rest', async () => {
    const buffer = await spawn();
    await buffer.add.callOne(trainingEpisode(1));
    const broken = { ...trainingEpisode(1), mask: Uint8Array.of(1) };
    await expect(buffer.add.callOne(broken)).rejects.toMatchObject({ code: 'CONTRACT_INVALID_MESSAGE' });
    expect(await buffer.length.callOne()).toBe(1);
    await expect(spawn({ batchSize: 0 })).rejects.toMatchObject({ code: 'CONFIG_INVALID' });
    await buffer.stop();
  });
});
