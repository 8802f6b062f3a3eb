import type { WeightsUse } from '@forge/broker';
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

/**
 * A follower of a stream that holds `latest` and then gets `later`, one by one (null: nothing for as long as was
 * waited); it stops at the end of the stream.
 */
function follower(
  latest: number | null,
  later: (number | null)[],
  apply: (a: WeightsAnnouncement) => Promise<void>,
) {
  const asked: string[] = [];
  const waitedMs: number[] = [];
  const askedAgain: number[] = [];
  const uses: string[] = [];
  const announced = { newest: latest ?? -1 };
  const versions = {
    current: () => Promise.resolve(announced.newest),
    latest: () => Promise.resolve(announced.newest < 0 ? null : announcement(announced.newest)),
    next: (afterId: string, blockMs: number) => {
      asked.push(afterId);
      waitedMs.push(blockMs);
      const next = later.shift();
      if (next === undefined) weights.stop();
      announced.newest = Math.max(announced.newest, next ?? -1);
      return Promise.resolve(next === undefined || next === null ? null : announcement(next));
    },
    use: (_user: string, { version, reading }: WeightsUse) =>
      Promise.resolve(void uses.push(`${version} ${reading}`)),
    leave: () => Promise.resolve(void uses.push('left')),
    askAgain: (version: number) => Promise.resolve(void askedAgain.push(version)),
  };
  const logger = { warn: () => undefined };
  const taken: number[] = [];
  const onTaken = (): void => void taken.push(weights.inUse);
  const weights = new WeightsFollower({ versions, user: 'policy/0', apply, onTaken, logger });
  return { weights, announced, asked, waitedMs, askedAgain, uses, taken };
}

describe('WeightsFollower', () => {
  it('applies the newest weights first and then each that follows', async () => {
    const applied: number[] = [];
    const { weights, asked, taken } = follower(3, [4, 6], async ({ version }) => void applied.push(version));
    expect(weights.hasWeights).toBe(false);
    await weights.follow();
    expect(applied).toEqual([3, 4, 6]);
    expect(taken).toEqual([3, 4, 6]);
    expect(asked).toEqual(['3-0', '4-0', '6-0']);
    expect(weights.hasWeights).toBe(true);
  });

  it('goes back with a Redis that lost its newest', async () => {
    const applied: number[] = [];
    const { weights, announced } = follower(3, [4, null], ({ version }) => {
      applied.push(version);
      if (version === 4) announced.newest = 3;
      return Promise.resolve();
    });
    await weights.follow();
    expect(applied).toEqual([3, 4, 3]);
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

  it.each(['CONTRACT_WEIGHTS_CORRUPT', 'CONTRACT_CANARY_MISMATCH'] as const)(
    'keeps the version it has while weights are refused (%s), asks for them anew and tries again',
    async (code) => {
      let tries = 0;
      const applied: number[] = [];
      const { weights, askedAgain, waitedMs, uses } = follower(4, [5, null, null, null], ({ version }) => {
        if (version === 5 && ++tries < 4) return Promise.reject(new ForgeError(code, 'bad'));
        applied.push(version);
        return Promise.resolve();
      });
      await weights.follow();
      expect(applied).toEqual([4, 5]);
      expect([weights.refused, askedAgain]).toEqual([3, [5, 5, 5]]);
      expect(waitedMs).toEqual([1000, 100, 200, 400, 1000]);
      expect(uses).toEqual(['null 4', '4 null', '4 5', '4 5', '4 5', '4 5', '5 null', 'left']);
    },
  );

  it('tries again, without asking for them anew, what a server that generates does not take now', async () => {
    let tries = 0;
    const { weights, askedAgain, waitedMs } = follower(4, [5, null, null], ({ version }) =>
      version === 5 && ++tries < 3
        ? Promise.reject(new ForgeError('TRANSIENT_GENERATOR_UNREACHABLE', 'gone'))
        : Promise.resolve(),
    );
    await weights.follow();
    await weights.atLeast(5);
    expect([weights.refused, askedAgain, tries]).toEqual([0, [], 3]);
    expect(waitedMs).toEqual([1000, 100, 200, 1000]);
  });

  it('takes a version once, and none that is older than the one in use', async () => {
    const applied: number[] = [];
    const { weights } = follower(4, [4, 2, 5, 4], async ({ version }) => void applied.push(version));
    await weights.follow();
    expect(applied).toEqual([4, 5]);
    await weights.atLeast(5);
  });

  it('waits no longer than two seconds between two tries', async () => {
    const never = () => Promise.reject(new ForgeError('CONTRACT_WEIGHTS_CORRUPT', 'bad'));
    const { weights, waitedMs } = follower(0, Array<null>(9).fill(null), never);
    await weights.follow();
    expect(waitedMs.slice(3, 7)).toEqual([800, 1600, 2000, 2000]);
    expect(weights.hasWeights).toBe(false);
  });

  it('fails loudly on what is no fault of the weights', async () => {
    const { weights } = follower(0, [], () => Promise.reject(new ForgeError('SHAPE_MISMATCH', 'bad')));
    await expect(weights.follow()).rejects.toMatchObject({ code: 'SHAPE_MISMATCH' });
  });
});
