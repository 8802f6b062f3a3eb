import { prefillRuns } from './prefill-runs';

const sequences = (...lengths: number[]) =>
  lengths.map((length) => ({ tokens: new Array<number>(length).fill(1) }));
const lengthsOf = (runs: ReturnType<typeof sequences>[]) =>
  runs.map((run) => run.map(({ tokens }) => tokens.length));

describe('prefillRuns', () => {
  it('puts short prompts into one run, whatever their lengths', () => {
    expect(lengthsOf(prefillRuns(sequences(3, 1, 30), 4))).toEqual([[30, 3, 1]]);
    expect(prefillRuns([], 4)).toEqual([]);
  });

  it('keeps much shorter prompts away from long ones', () => {
    expect(lengthsOf(prefillRuns(sequences(10, 1000, 600, 12), 4))).toEqual([
      [1000, 600],
      [12, 10],
    ]);
  });

  it('bounds the padded tokens of a run', () => {
    const runs = lengthsOf(prefillRuns(sequences(...new Array<number>(1000).fill(20)), 1));
    expect(runs.map((run) => run.length)).toEqual([409, 409, 182]);
  });

  it('bounds the attention scores of a run: rows * heads * T * T', () => {
    // 16 Mi scores: four rows of 512 tokens with 16 heads.
    const runs = lengthsOf(prefillRuns(sequences(...new Array<number>(10).fill(512)), 16));
    expect(runs.map((run) => run.length)).toEqual([4, 4, 2]);
    expect(lengthsOf(prefillRuns(sequences(20_000, 20_000), 16))).toEqual([[20_000], [20_000]]);
  });
});
