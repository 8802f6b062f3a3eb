import type { Batch, Episode, Group } from '@forge/contracts';
import { encode } from '@forge/contracts';
import { decodeGroups, trainEpisodes } from './train-episodes';

const episode = (token: number): Episode => ({
  tokenIds: Int32Array.of(1, token),
  mask: Uint8Array.of(0, 1),
  logprobs: Float32Array.of(0, -1),
  versions: Int32Array.of(-1, 0),
  reward: 0,
  rewards: {},
  text: '',
});
const group = (index: number, tokens: number[]): Group => ({
  schemaVersion: 3,
  runId: 'run',
  index,
  sampleId: 's',
  promptText: '',
  weightHashes: {},
  replica: '0',
  episodes: tokens.map(episode),
});
const batch: Batch = {
  schemaVersion: 4,
  version: 0,
  groups: [
    { index: 2, advantages: [1, -1] },
    { index: 5, advantages: [Float32Array.of(0, 0.5)] },
  ],
  statistics: {},
};

describe('trainEpisodes', () => {
  it('gives each episode its advantage, in the order of the batch', () => {
    const payloads = [group(2, [7, 8]), group(5, [9])].map(encode);
    const episodes = trainEpisodes(batch, decodeGroups(batch, payloads));
    expect(episodes.map(({ tokenIds, advantage }) => [tokenIds[1], advantage])).toEqual([
      [7, 1],
      [8, -1],
      [9, Float32Array.of(0, 0.5)],
    ]);
  });

  it('numbers rollouts through all groups, and keeps their parts together', () => {
    const parts = (index: number, rollouts: (number | undefined)[]): Group => ({
      ...group(index, []),
      episodes: rollouts.map((rollout) => ({ ...episode(7), rollout })),
    });
    const groups = [parts(2, [0, 0, 3]), parts(5, [undefined, undefined])];
    const trained = trainEpisodes(
      {
        ...batch,
        groups: [
          { index: 2, advantages: [1, 1, 2] },
          { index: 5, advantages: [3, 4] },
        ],
      },
      groups,
    );
    expect(trained.map(({ rollout, advantage }) => [rollout, advantage])).toEqual([
      [0, 1],
      [0, 1],
      [1, 2],
      [2, 3],
      [3, 4],
    ]);
  });

  it('leaves out what is not to be trained on', () => {
    const dropping = { ...batch, groups: [{ index: 2, advantages: [null, -1] }] };
    expect(trainEpisodes(dropping, [group(2, [7, 8])]).map(({ tokenIds }) => tokenIds[1])).toEqual([8]);
  });

  it('refuses groups that are not those of the batch', () => {
    expect(() => trainEpisodes(batch, [group(5, [9]), group(2, [7, 8])])).toThrow('expected group 2 with 2');
    expect(() => trainEpisodes(batch, [group(2, [7]), group(5, [9])])).toThrow(
      'found group 2 with 1 episodes',
    );
  });
});
