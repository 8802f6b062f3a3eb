import { batched } from './batched';

describe('batched', () => {
  it('makes one call of all items of a turn, up to maxBatch', async () => {
    const calls: number[][] = [];
    const double = batched<number, number>(
      (items) => {
        calls.push(items);
        return Promise.resolve(items.map((item) => 2 * item));
      },
      { maxBatch: 3 },
    );
    expect(await Promise.all([1, 2, 3, 4].map(double))).toEqual([2, 4, 6, 8]);
    expect(await double(5)).toBe(10);
    expect(calls).toEqual([[1, 2, 3], [4], [5]]);
  });

  it('makes one call at a time when it is serial, of all that came meanwhile', async () => {
    const calls: number[][] = [];
    const finish: (() => void)[] = [];
    const same = batched<number, number>(
      (items) => {
        calls.push(items);
        return new Promise((resolve) => finish.push(() => resolve(items)));
      },
      { maxBatch: 2, serial: true },
    );
    const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));
    const first = same(1);
    await turn();
    const others = [2, 3, 4].map(same);
    await turn();
    expect(calls).toEqual([[1]]);
    finish[0]!();
    expect(await first).toBe(1);
    await turn();
    expect(calls).toEqual([[1], [2, 3]]);
    finish[1]!();
    await turn();
    finish[2]!();
    expect(await Promise.all(others)).toEqual([2, 3, 4]);
    expect(calls).toEqual([[1], [2, 3], [4]]);
  });

  it('rejects every item of a call that fails', async () => {
    const failing = batched(() => Promise.reject(new Error('no')), { maxBatch: 8 });
    const results = await Promise.allSettled([failing(1), failing(2)]);
    expect(results.map(({ status }) => status)).toEqual(['rejected', 'rejected']);
  });

  it('rejects every item of a call with the wrong number of results', async () => {
    const short = batched(() => Promise.resolve([1]), { maxBatch: 8 });
    await expect(Promise.all([short(1), short(2)])).rejects.toMatchObject({ code: 'SHAPE_MISMATCH' });
  });
});
