import { episodeSchema, groupSchema, type Episode } from './episode';
import { rolloutsOf } from './rollout-parts';

const part = (rollout?: number, more: Partial<Episode> = {}): Episode => ({
  tokenIds: Int32Array.of(1, 2, 3),
  mask: Uint8Array.of(0, 1, 1),
  logprobs: Float32Array.of(0, -1, -1),
  versions: Int32Array.of(-1, 0, 0),
  reward: 1,
  rewards: {},
  text: '',
  ...(rollout !== undefined && { rollout }),
  ...more,
});
const problemsOf = (episodes: Episode[]): string[] => {
  const group = { schemaVersion: 3, runId: 'r', index: 0, sampleId: 's', promptText: '', replica: '0' };
  const { error } = groupSchema.safeParse({ ...group, episodes, weightHashes: {} });
  return error?.issues.map(({ message }) => message) ?? [];
};

describe('rolloutsOf', () => {
  it('puts parts with the same number together, and takes each episode without one for a rollout', () => {
    const [a, b, c] = [part(4), part(4), part(7)];
    expect(rolloutsOf([a, b, c])).toEqual([[a, b], [c]]);
    expect(rolloutsOf([part(), part()])).toEqual([[part()], [part()]]);
    expect(rolloutsOf([])).toEqual([]);
  });
});

describe('a group', () => {
  it.each<[string, Episode[]]>([
    ['no numbers', [part(), part()]],
    ['parts side by side', [part(0), part(0), part(1)]],
    ['a rollout that is missing', [part(0), part(2), part(2)]],
    ['what each rollout came to', [part(0, { reward: 0, end: 'turns' }), part(1, { end: 'time' })]],
  ])('takes %s', (_, episodes) => {
    expect(problemsOf(episodes)).toEqual([]);
  });

  it.each<[string, Episode[], string]>([
    [
      'numbers in some',
      [part(0), part()],
      'expected a rollout in all or in none, found none in episode 1 after 0',
    ],
    [
      'parts apart',
      [part(0), part(1), part(0)],
      'expected the parts of a rollout side by side, in order: found rollout 0 after 1 in episode 2',
    ],
    [
      'parts of two rewards',
      [part(0), part(0, { reward: 0.5 })],
      'expected one reward of rollout 0 in all its parts, found 1 and 0.5',
    ],
    [
      'parts of which one was cut off',
      [part(3), part(3, { end: 'tokens' })],
      'expected one end of rollout 3 in all its parts, found undefined and tokens',
    ],
  ])('refuses %s', (_, episodes, words) => {
    expect(problemsOf(episodes)).toEqual([words]);
  });
});

describe('turns of an episode', () => {
  const isTaken = (...ends: number[]): boolean =>
    episodeSchema.safeParse(part(0, { turns: ends.map((end) => ({ end, reward: 0 })) })).success;

  it('end one after the other, at its last token at most', () => {
    expect([isTaken(), isTaken(2), isTaken(2, 3)]).toEqual([true, true, true]);
    expect([isTaken(3, 2), isTaken(2, 2), isTaken(4), isTaken(0)]).toEqual([false, false, false, false]);
  });
});
