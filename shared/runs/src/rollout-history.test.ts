import type { GroupRecord } from '@forge/broker';
import { rolloutHistory } from './rollout-history';

const trained: GroupRecord = {
  index: 7,
  state: 'trained',
  minVersion: 2,
  replayOf: null,
  position: null,
  origin: { replica: '1', oldest: 2, newest: 3 },
  step: 4,
  reason: null,
};
const versionsOf = (...hashes: string[]) =>
  new Map(
    hashes.map((weightsHash, version) => [
      version,
      { version, weightsHash, epoch: 1, rolledBackTo: null, batch: { indices: [7], maxStaleness: Infinity } },
    ]),
  );

describe('rolloutHistory', () => {
  const snapshot = { groups: new Map([[7, trained]]), versions: versionsOf('a', 'b', 'c', 'd', 'e', 'f') };

  it('names job, versions with their hashes, the batch with its lag, and what came of it', () => {
    expect(rolloutHistory('run', 7, { ...snapshot, leases: [] })).toMatchObject({
      job: 'r-run-7',
      replica: '1',
      generatedBy: [
        { version: 2, weightsHash: 'c' },
        { version: 3, weightsHash: 'd' },
      ],
      step: 5,
      lag: 2,
      maxStaleness: 'inf',
      produced: { version: 5, weightsHash: 'f' },
    });
  });

  it('is null for a group that is not known', () => {
    expect(rolloutHistory('run', 8, { ...snapshot, leases: [] })).toBeNull();
  });
});
