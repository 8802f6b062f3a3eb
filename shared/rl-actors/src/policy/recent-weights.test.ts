import { ForgeError } from '@forge/errors';
import type { Parameters } from '@forge/weights';
import { collectGarbage } from './collect-garbage';
import { RecentWeights } from './recent-weights';

/** Eight bytes. */
const parameters = (value: number): Parameters =>
  new Map([['w', { shape: [2], data: Float32Array.of(value, value) }]]);

const never = (): Promise<Parameters> => Promise.reject(new Error('read'));

/** Collects garbage in a turn of its own: a reference that was looked at lasts until its turn ends. */
async function afterGarbage(): Promise<void> {
  await new Promise((resolve) => setImmediate(resolve));
  collectGarbage();
}

describe('RecentWeights', () => {
  it('keeps the two newest versions where they are small', async () => {
    const recent = new RecentWeights(8);
    for (const version of [0, 1, 2]) recent.add(version, parameters(version), never);
    await afterGarbage();
    expect(await recent.get(0)).toBeNull();
    expect(await recent.get(1)).toEqual(parameters(1));
    expect(await recent.get(2)).toEqual(parameters(2));
    recent.makeRoom();
    expect(await recent.get(1)).toBeNull();
    expect(await recent.get(2)).toEqual(parameters(2));
  });

  it('reads large ones again every time, and has none once the file is gone', async () => {
    const recent = new RecentWeights(7);
    let reads = 0;
    recent.add(3, parameters(3), () => {
      if (reads++ < 2) return Promise.resolve(parameters(3));
      return Promise.reject(new ForgeError('STALE_WEIGHTS', 'version 3 is gone'));
    });
    await afterGarbage();
    expect(await recent.get(3)).toEqual(parameters(3));
    expect(await recent.get(3)).toEqual(parameters(3));
    expect(await recent.get(3)).toBeNull();
    recent.add(4, parameters(4), never);
    await afterGarbage();
    await expect(recent.get(4)).rejects.toThrow('read');
  });

  it('gives large ones that are in use without a copy, and none afterwards where they are not read again', async () => {
    const recent = new RecentWeights(7);
    const used = { current: parameters(3) };
    recent.add(3, used.current, null);
    recent.add(4, parameters(4), null);
    await afterGarbage();
    expect((await recent.get(3)) === used.current).toBe(true);
    expect(await recent.get(4)).toBeNull();
    used.current = parameters(5);
    await afterGarbage();
    expect(await recent.get(3)).toBeNull();
  });
});
