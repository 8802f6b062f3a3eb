import { prefillRuns } from './prefill-runs';

/** Blocks of so many tokens, behind so many others. */
const blocks = (...sizes: [length: number, start: number][]) =>
  sizes.map(([length, start]) => ({ tokens: new Array<number>(length).fill(1), end: start + length }));
const many = (count: number, length: number, start: number) =>
  blocks(...Array.from({ length: count }, (): [number, number] => [length, start]));
const sizesOf = (runs: ReturnType<typeof blocks>[]) =>
  runs.map((run) => run.map(({ tokens, end }) => [tokens.length, end - tokens.length]));

describe('prefillRuns', () => {
  it('puts short blocks into one run, whatever their lengths', () => {
    const runs = prefillRuns(blocks([3, 0], [1, 128], [30, 0]), 4);
    expect(sizesOf(runs)).toEqual([
      [
        [1, 128],
        [30, 0],
        [3, 0],
      ],
    ]);
    expect(prefillRuns([], 4)).toEqual([]);
  });

  it('keeps blocks of few tokens away from whole ones', () => {
    expect(sizesOf(prefillRuns(blocks([10, 0], [64, 0], [40, 64], [12, 0]), 4))).toEqual([
      [
        [40, 64],
        [64, 0],
      ],
      [
        [12, 0],
        [10, 0],
      ],
    ]);
  });

  it('keeps blocks with little before them away from those with much', () => {
    expect(sizesOf(prefillRuns(blocks([64, 0], [64, 960], [64, 512], [64, 64]), 4))).toEqual([
      [
        [64, 960],
        [64, 512],
      ],
      [
        [64, 64],
        [64, 0],
      ],
    ]);
  });

  it('bounds the positions of a run, cached ones and padding included', () => {
    expect(prefillRuns(many(1000, 20, 0), 1).map((run) => run.length)).toEqual([409, 409, 182]);
    // 64 new ones and 960 cached ones: eight rows.
    expect(prefillRuns(many(20, 64, 960), 1).map((run) => run.length)).toEqual([8, 8, 4]);
  });

  it('bounds the attention scores of a run: rows * heads * T * (P + T)', () => {
    // 16 Mi scores: four rows of 64 tokens and 1024 positions with 64 heads.
    expect(prefillRuns(many(10, 64, 960), 64).map((run) => run.length)).toEqual([4, 4, 2]);
    expect(prefillRuns(many(2, 64, 20_000), 64).map((run) => run.length)).toEqual([1, 1]);
  });
});
