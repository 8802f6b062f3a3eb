import type { WeightsAnnouncement } from '@forge/contracts';
import { ForgeError } from '@forge/errors';
import { WeightsFollower } from './weights-follower';

const announcement = (version: number) => ({
  id: `${version}-0`,
  announcement: {
    schemaVersion: 1,
    version,
    epoch: 1,
    path: 'w',
    sizeBytes: 1,
    sha256: '0'.repeat(64),
  } as const,
});

/** A stream that already holds `latest` and then gets `later`, one by one; the follower stops at its end. */
function follower(latest: number | null, later: number[], apply: (a: WeightsAnnouncement) => Promise<void>) {
  const asked: string[] = [];
  const refused: string[] = [];
  const versions = {
    latest: () => Promise.resolve(latest === null ? null : announcement(latest)),
    refuse: (id: string) => {
      refused.push(id);
      latest = null;
      return Promise.resolve();
    },
    next: (afterId: string) => {
      asked.push(afterId);
      const next = later.shift();
      if (next === undefined) weights.stop();
      return Promise.resolve(next === undefined ? null : announcement(next));
    },
  };
  const weights = new WeightsFollower(versions, apply, { warn: () => undefined } as never);
  return { weights, asked, refused };
}

describe('WeightsFollower', () => {
  it('applies the newest weights first and then each that follows', async () => {
    const applied: number[] = [];
    const { weights, asked } = follower(3, [4, 6], async ({ version }) => void applied.push(version));
    expect(weights.hasWeights).toBe(false);
    await weights.follow();
    expect(applied).toEqual([3, 4, 6]);
    expect(asked).toEqual(['3-0', '4-0', '6-0']);
    expect(weights.hasWeights).toBe(true);
  });

  it('lets work wait for a version until it is in use', async () => {
    const reached: string[] = [];
    const { weights } = follower(null, [0, 2], ({ version }) => {
      reached.push(`applied ${version}`);
      return Promise.resolve();
    });
    const waiting = [1, 0].map(async (version) => {
      await weights.atLeast(version);
      reached.push(`waited for ${version}`);
    });
    await weights.follow();
    await Promise.all(waiting);
    expect(reached).toEqual(['applied 0', 'waited for 0', 'applied 2', 'waited for 1']);
    await weights.atLeast(2);
  });

  it('passes over weights that were collected before they were read', async () => {
    const { weights } = follower(0, [1, 2], ({ version }) =>
      version === 1 ? Promise.reject(new ForgeError('STALE_WEIGHTS', 'gone')) : Promise.resolve(),
    );
    await weights.follow();
    await weights.atLeast(2);
  });

  it('drops announcements of weights that are not what they say, and goes on with others', async () => {
    const applied: number[] = [];
    const { weights, asked, refused } = follower(3, [4, 5, 6], ({ version }) => {
      if (version % 2 === 1) return Promise.reject(new ForgeError('CONTRACT_WEIGHTS_CORRUPT', 'bad'));
      applied.push(version);
      return Promise.resolve();
    });
    await weights.follow();
    expect(refused).toEqual(['3-0', '5-0']);
    expect(applied).toEqual([4, 6]);
    expect(asked).toEqual(['0', '4-0', '4-0', '6-0']);
  });
});
