import { GpuPool } from './gpu-pool';

describe('GpuPool', () => {
  const eight = [0, 1, 2, 3, 4, 5, 6, 7];

  it('gives the lowest that are free and takes them back', () => {
    const pool = new GpuPool(eight);
    expect(pool.available).toEqual(eight);
    const [a, b] = [pool.allocate(2), pool.allocate(3)];
    expect([a, b, pool.available]).toEqual([
      [0, 1],
      [2, 3, 4],
      [5, 6, 7],
    ]);
    pool.release(a);
    expect([pool.available, pool.allocate(3)]).toEqual([
      [0, 1, 5, 6, 7],
      [0, 1, 5],
    ]);
    pool.release([0, 1, 5]);
    pool.release(b);
    expect(pool.available).toEqual(eight);
  });

  it('hands out only what it was given', () => {
    const pool = new GpuPool([0, 2, 4, 6]);
    expect(pool.allocate(3)).toEqual([0, 2, 4]);
    expect(new GpuPool([]).available).toEqual([]);
  });

  it('says how many are free when there are too few, and takes none', () => {
    const pool = new GpuPool([0, 1, 2]);
    pool.allocate(1);
    expect(() => pool.allocate(3)).toThrow(
      expect.objectContaining({ code: 'CAPACITY_GPUS', details: { wanted: 3, free: 2, total: 3 } }),
    );
    expect(pool.available).toEqual([1, 2]);
    expect(() => new GpuPool([]).allocate(1)).toThrow('1 GPUs are wanted, 0 of 0 are free');
  });

  it.each([[[-1]], [[0.5]], [[1, 1]], [['0' as unknown as number]]])('refuses %j', (ids) => {
    expect(() => new GpuPool(ids)).toThrow(expect.objectContaining({ code: 'CONFIG_INVALID' }));
  });

  it('notices what is released twice or was never its own', () => {
    const pool = new GpuPool([3]);
    const taken = pool.allocate(1);
    pool.release(taken);
    for (const ids of [taken, [9]])
      expect(() => {
        pool.release(ids);
      }).toThrow(expect.objectContaining({ code: 'BUG_INVARIANT' }));
  });
});
