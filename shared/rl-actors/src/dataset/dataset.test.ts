import { thisProc } from '@forge/actors';
import { Dataset } from './dataset';

const spawn = (seed = 1) =>
  thisProc().spawn('dataset', Dataset, { task: { kind: 'arithmetic', heldOut: 20 }, seed });

describe('Dataset', () => {
  it('gives samples in an order of its seed, and goes on where it was', async () => {
    const [first, second, other] = await Promise.all([spawn(), spawn(), spawn(2)]);
    const take = (dataset: typeof first, n: number) =>
      Promise.all(Array.from({ length: n }, async () => (await dataset.sample.callOne()).id));
    const ids = await take(first, 6);
    expect(new Set(ids).size).toBe(6);
    expect(await take(second, 4)).toEqual(ids.slice(0, 4));
    expect(await take(other, 6)).not.toEqual(ids);
    await other.restore.callOne({ position: 0 });
    await second.restore.callOne({ position: 3 });
    expect(await take(second, 3)).toEqual(ids.slice(3));
    expect(await second.state.callOne()).toEqual({ position: 6 });
    await Promise.all([first.stop(), second.stop(), other.stop()]);
  });

  it('keeps samples for evaluation that training never sees', async () => {
    const dataset = await spawn();
    const [all, three] = [await dataset.heldOut.callOne(), await dataset.heldOut.callOne(3)];
    expect([all.length, three]).toEqual([20, all.slice(0, 3)]);
    const state = dataset.restore.callOne({ position: -1 });
    await expect(state).rejects.toMatchObject({ code: 'CONTRACT_INVALID_MESSAGE' });
    await dataset.stop();
  });
});
