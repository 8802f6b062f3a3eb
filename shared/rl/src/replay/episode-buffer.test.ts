import { EpisodeBuffer, type EpisodeBufferOptions } from './episode-buffer';

interface Item {
  id: number;
  version: number;
}
const make = (options: Partial<EpisodeBufferOptions<Item>> = {}) =>
  new EpisodeBuffer<Item>({ batchSize: 2, maxPolicyAge: 1, versionOf: ({ version }) => version, ...options });
const filled = (versions: readonly number[], options: Partial<EpisodeBufferOptions<Item>> = {}) => {
  const buffer = make(options);
  versions.forEach((version, id) => buffer.add({ id, version }));
  return buffer;
};
const idsOf = (batches: Item[][] | null) => batches?.map((batch) => batch.map(({ id }) => id));

describe("EpisodeBuffer, by torchforge's facts", () => {
  it('keeps what was added, in order', () => {
    const buffer = filled([0, 0]);
    expect(buffer.size).toBe(2);
    expect([buffer.at(0)?.id, buffer.at(1)?.id, buffer.at(-1)?.id, buffer.at(2)]).toEqual([
      0,
      1,
      1,
      undefined,
    ]);
  });

  it('is empty when cleared, and as before when its state is loaded', () => {
    const buffer = filled([0]);
    const state = buffer.state();
    buffer.clear();
    expect(buffer.size).toBe(0);
    buffer.restore(state);
    expect(buffer.size).toBe(1);
  });

  it('evicts what is more than maxPolicyAge versions old', () => {
    const buffer = filled([0, 1]);
    expect(buffer.evict(2)).toBe(1);
    expect(buffer.at(0)?.version).toBe(1);
  });

  it('draws a batch once and evicts it before the next draw', () => {
    const buffer = filled([0, 1]);
    expect(buffer.sample(1)).toHaveLength(1);
    expect(buffer.size).toBe(2);
    buffer.add({ id: 2, version: 0 });
    expect(buffer.sample(1)).toBeNull();
  });

  it('draws only what is fresh', () => {
    const buffer = filled([0, 1, 2]);
    const [batch] = buffer.sample(2)!;
    expect(batch!.map(({ version }) => version).sort()).toEqual([1, 2]);
    expect(buffer.size).toBe(2);
  });

  it('draws one batch per data-parallel rank, nothing twice', () => {
    const batches = idsOf(
      filled(
        Array.from({ length: 10 }, () => 0),
        { dataParallelSize: 3 },
      ).sample(0),
    )!;
    expect(batches.map(({ length }) => length)).toEqual([2, 2, 2]);
    expect(new Set(batches.flat()).size).toBe(6);
  });
});

describe('EpisodeBuffer', () => {
  it('never holds more than maxBufferSize, before and after a draw', () => {
    const buffer = filled([0, 0, 0, 0], { maxBufferSize: 3, maxResampleCount: Infinity });
    expect([buffer.size, buffer.at(0)?.id]).toEqual([3, 1]);
    buffer.sample(0);
    for (let id = 4; id < 9; id++) buffer.add({ id, version: 0 });
    expect([buffer.size, buffer.at(0)?.id]).toEqual([3, 6]);
  });

  it.each([
    [0, 1],
    [2, 3],
  ])('draws an item again %i times', (maxResampleCount, draws) => {
    const buffer = filled([0, 0], { maxResampleCount });
    const results = Array.from({ length: 4 }, () => buffer.sample(0) !== null);
    expect(results.filter(Boolean)).toHaveLength(draws);
  });

  it('draws every item about equally often', () => {
    const buffer = filled([0, 0, 0, 0, 0], { maxResampleCount: Infinity });
    const counts = [0, 0, 0, 0, 0];
    for (let i = 0; i < 1000; i++) for (const { id } of buffer.sample(0)![0]!) counts[id]! += 1;
    for (const count of counts) expect(Math.abs(count - 400)).toBeLessThan(70);
  });

  it('draws the same with the same seed, and goes on the same from a state', () => {
    const five = [0, 0, 0, 0, 0];
    const options = { maxResampleCount: Infinity, seed: 7 };
    const [one, two] = [filled(five, options), filled(five, options)];
    expect(idsOf(one.sample(0))).toEqual(idsOf(two.sample(0)));
    const resumed = make({ maxResampleCount: Infinity });
    resumed.restore(one.state());
    const next = (buffer: typeof one) => Array.from({ length: 5 }, () => idsOf(buffer.sample(0)));
    expect(next(resumed)).toEqual(next(one));
    expect(next(filled(five, { ...options, seed: 8 }))).not.toEqual(next(filled(five, options)));
  });

  it('refuses an invalid size', () => {
    expect(() => make({ batchSize: 0 })).toThrow('batchSize: found 0');
    expect(() => make({ maxBufferSize: 1.5 })).toThrow('maxBufferSize: found 1.5');
  });
});
