import { rmSync } from 'node:fs';
import { startTestRedis, type TestRedis } from '@forge/testing';
import { directoryWithModel } from './service-processes';
import { aboveLimits, LIMITS, readSlowRun, type Reading } from './slowness';

jest.setTimeout(120_000);

let redis: TestRedis;
let dir: string;
beforeAll(async () => {
  [redis, dir] = await Promise.all([startTestRedis(), directoryWithModel()]);
});
afterAll(async () => {
  await redis.stop();
  rmSync(dir, { recursive: true, force: true });
});

const most = (readings: readonly Reading[], name: 'inFlight' | 'held'): number =>
  Math.max(...readings.map((reading) => reading[name]));

describe('a run without a staleness bound in which something is slow', () => {
  it('has as many groups in flight as may be, and no more, when a reward is', async () => {
    const readings = await readSlowRun(redis, dir, 'reward', 4_000);
    expect(aboveLimits(readings)).toEqual([]);
    expect(most(readings, 'inFlight')).toBe(LIMITS.queuedGroups);
    expect(readings.at(-1)!.version).toBeGreaterThan(readings[0]!.version);
  });

  it('holds as many groups as may be, and no more, when the trainer is', async () => {
    const readings = await readSlowRun(redis, dir, 'trainer', 6_000);
    expect(aboveLimits(readings)).toEqual([]);
    expect(most(readings, 'held')).toBe(LIMITS.heldGroups);
    expect(readings.at(-1)!.version).toBeGreaterThan(readings[0]!.version);
  });
});
