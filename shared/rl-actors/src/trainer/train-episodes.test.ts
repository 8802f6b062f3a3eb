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
  schemaVersion: 3,
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

  it('refuses groups that are not those of the batch', () => {
    expect(() => trainEpisodes(batch, [group(5, [9]), group(2, [7, 8])])).toThrow('expected group 2 with 2');
    expect(() => trainEpisodes(batch, [group(2, [7]), group(5, [9])])).toThrow(
      'found group 2 with 1 episodes',
    );
  });
});
