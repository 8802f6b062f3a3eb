import type { Group } from '@forge/contracts';
import { comparedWithTold } from './agents-elsewhere';

/** A group of two rollouts; of each part, by rollout, ids that the policy chose behind a prompt of one id. */
function groupOf(index: number, ...parts: [rollout: number, chosen: number[]][]): Group {
  const episodes = parts.map(([rollout, chosen]) => ({
    ...{ rollout, reward: 1, rewards: { exact: 1 }, text: '' },
    tokenIds: Int32Array.of(7, ...chosen),
    mask: Uint8Array.of(0, ...chosen.map(() => 1)),
    logprobs: new Float32Array(chosen.length + 1),
    versions: Int32Array.of(-1, ...chosen.map(() => 0)),
  }));
  return {
    ...{ schemaVersion: 3, runId: 'run', index, sampleId: 's', promptText: '', replica: '0' },
    ...{ weightHashes: {}, episodes },
  };
}

const told = new Map([
  ['4-0', [[1, 2], [3]]],
  ['4-1', [[5]]],
]);

describe('comparedWithTold', () => {
  it('finds nothing where all parts are what was told', () => {
    const group = groupOf(4, [0, [1, 2]], [0, [3]], [1, [5]]);
    expect(comparedWithTold([group], told)).toEqual({ trained: 1, untold: [], problems: [] });
  });

  it('finds a token that was not told, one that is missing, and an answer that was drawn twice', () => {
    for (const chosen of [[1, 2, 4], [1, 2], [1, 2, 3, 3], []])
      expect(comparedWithTold([groupOf(4, [0, chosen], [1, [5]])], told).problems).toEqual([
        `session 4-0 was told 1,2,3, and trained as ${chosen.join()}`,
      ]);
  });

  it('finds a group that was trained twice, and one of which nobody was told', () => {
    const group = groupOf(4, [0, [1, 2, 3]], [1, [5]]);
    const { untold, problems } = comparedWithTold([group, group, groupOf(5, [0, [1]])], told);
    expect({ untold, problems }).toEqual({ untold: [5], problems: ['group 4 was trained twice'] });
  });
});
