import { createEngine, type HostTensor } from '@forge/engine';
import { Graph } from '@forge/graph';
import { sampleTokens } from './sampling-graph';

const engine = createEngine({ threads: 1 });

interface Filters {
  topK: number;
  topP: number;
}

/** Draws from log-probabilities at an even grid of uniforms: the count of each token. */
async function drawCounts(
  probabilities: readonly number[],
  { topK, topP }: Filters,
  draws = 1000,
): Promise<number[]> {
  const tokens = await drawTokens(
    probabilities,
    Array.from({ length: draws }, (_, i) => (i + 0.5) / draws),
    { topK, topP },
  );
  return probabilities.map((_, token) => tokens.filter((drawn) => drawn === token).length);
}

async function drawTokens(
  probabilities: readonly number[],
  uniforms: readonly number[],
  filters: Filters | null,
  rowFilters: (row: number) => Filters | null = () => filters,
  isGreedy = false,
): Promise<number[]> {
  const graph = new Graph();
  const [rows, width] = [uniforms.length, probabilities.length];
  const column = (name: string) => graph.input(name, 'float32', [rows, 1]);
  const sampled = sampleTokens(graph.input('logits', 'float32', [rows, width]), column('uniform'), {
    greedy: column('greedy'),
    filters: graph.input('filters', 'int64', []),
    topK: column('topK'),
    topP: column('topP'),
  });
  const program = await engine.compile({ ...sampled });
  const feed = (columns: number, value: (row: number, at: number) => number): HostTensor => ({
    dtype: 'float32',
    shape: [rows, columns],
    data: Float32Array.from({ length: rows * columns }, (_, i) =>
      value(Math.floor(i / columns), i % columns),
    ),
  });
  const { host } = await program.run({
    logits: feed(width, (_, at) => Math.log(probabilities[at]!)),
    uniform: feed(1, (row) => uniforms[row]!),
    greedy: feed(1, () => (isGreedy ? 1 : 0)),
    filters: { dtype: 'int64', shape: [], data: BigInt64Array.of(filters === null ? 0n : 1n) },
    topK: feed(1, (row) => rowFilters(row)?.topK ?? 0),
    topP: feed(1, (row) => rowFilters(row)?.topP ?? 1),
  });
  await program.release();
  return [...(host.tokens!.data as BigInt64Array)].map(Number);
}

describe('sampleTokens', () => {
  const probabilities = [0.1, 0.4, 0.05, 0.3, 0.15];

  it.each<[string, Filters, number[]]>([
    ['without filters: all tokens', { topK: 0, topP: 1 }, [100, 400, 50, 300, 150]],
    ['with top-k: the likeliest, renormalised', { topK: 2, topP: 1 }, [0, 571, 0, 429, 0]],
    ['with more top-k than tokens: all', { topK: 9, topP: 1 }, [100, 400, 50, 300, 150]],
    ['with top-p: the fewest that hold it', { topK: 0, topP: 0.6 }, [0, 571, 0, 429, 0]],
    ['with a tiny top-p: the likeliest', { topK: 0, topP: 1e-6 }, [0, 1000, 0, 0, 0]],
    // The share of 0.4 beside 0.3 alone is 57 %: enough for 0.55 only after renormalising.
    ['with both: top-p of what top-k leaves', { topK: 2, topP: 0.55 }, [0, 1000, 0, 0, 0]],
    ['with both: top-k of 3 and 0.83 of that', { topK: 3, topP: 0.83 }, [0, 470, 0, 353, 177]],
  ])('draws %s', async (_, filters, expected) => {
    const counts = await drawCounts(probabilities, filters);
    counts.forEach((count, token) => expect(Math.abs(count - expected[token]!)).toBeLessThanOrEqual(1));
  });

  it('keeps tokens that are as likely as the last one', async () => {
    expect(await drawCounts([0.25, 0.25, 0.25, 0.25], { topK: 2, topP: 1 }, 100)).toEqual([25, 25, 25, 25]);
  });

  it('drops no token of a long tail at top-p 1', async () => {
    const width = 4096;
    const probabilities = Array.from({ length: width }, (_, i) =>
      i === width - 1 ? 1 - 1e-6 : 1e-6 / (width - 1),
    );
    const uniforms = Array.from({ length: 8 }, (_, i) => (i + 0.5) * 1.25e-7);
    const drawn = await drawTokens(probabilities, uniforms, { topK: 0, topP: 1 });
    expect(drawn).toEqual(await drawTokens(probabilities, uniforms, null));
    drawn.forEach((token, i) => expect(Math.abs(token - (i + 0.5) * (width / 8))).toBeLessThan(8));
  });

  it('draws the same token of a row without filters in both variants, and none without probability', async () => {
    const uniforms = Array.from({ length: 512 }, (_, i) => (i < 500 ? i / 500 : 1 - 2 ** -23));
    const withZeros = [0, 0.2, 0, 0.5, 0.3, 0, 0];
    const plain = await drawTokens(withZeros, uniforms, null);
    expect(await drawTokens(withZeros, uniforms, { topK: 0, topP: 1 })).toEqual(plain);
    expect(new Set(plain)).toEqual(new Set([1, 3, 4]));
  });
});

/** Tokens whose share of the probability grows and falls several times over the vocabulary, no two alike. */
function waves(size: number): number[] {
  const weights = Array.from({ length: size }, (_, i) =>
    Math.exp(3 * Math.sin(i / 97) + ((i * 7919) % size) / size),
  );
  const total = weights.reduce((a, b) => a + b);
  return weights.map((weight) => weight / total);
}

/** The slow, obvious draw: sorted to filter, then summed in the order of the vocabulary. */
function obviousDraw(probabilities: readonly number[], uniform: number, { topK, topP }: Filters): number {
  const order = [...probabilities.keys()].sort((a, b) => probabilities[b]! - probabilities[a]!);
  const counted = topK === 0 ? order : order.slice(0, topK);
  const sumOf = (tokens: readonly number[]): number => tokens.reduce((sum, i) => sum + probabilities[i]!, 0);
  const wanted = topP * sumOf(counted);
  const kept = new Set<number>();
  let held = 0;
  for (const token of counted) {
    if (topP < 1 && held >= wanted) break;
    kept.add(token);
    held += probabilities[token]!;
  }
  let left = uniform * held;
  return [...kept].sort((a, b) => a - b).find((token) => (left -= probabilities[token]!) < 0)!;
}

// 5,000 entries are 50 blocks; 4,999, a prime number, are filled up to whole ones.
describe.each([5000, 4999])('sampleTokens over %d entries', (size) => {
  const probabilities = waves(size);
  const uniforms = Array.from({ length: 200 }, (_, i) => (i + 0.5) / 200);

  it.each<[string, Filters]>([
    ['without filters', { topK: 0, topP: 1 }],
    ['with top-k', { topK: 50, topP: 1 }],
    ['with more top-k than are sorted first', { topK: 3000, topP: 1 }],
    ['with a top-p that few tokens hold', { topK: 0, topP: 0.1 }],
    ['with a top-p that takes more tokens than are sorted first', { topK: 0, topP: 0.9 }],
    ['with both', { topK: 2000, topP: 0.8 }],
  ])('draws as the obvious way does, %s', async (_, filters) => {
    const expected = uniforms.map((uniform) => obviousDraw(probabilities, uniform, filters));
    const drawn = await drawTokens(probabilities, uniforms, filters);
    // Where a number falls on the border of two tokens, float32 and float64 may part.
    const differing = drawn.filter((token, i) => token !== expected[i]);
    expect(differing.length).toBeLessThanOrEqual(2);
    drawn.forEach((token, i) => expect(Math.abs(token - expected[i]!)).toBeLessThan(size / 100));
  });

  it('draws the same tokens of rows without filters beside rows with all kinds of filters', async () => {
    const plain = await drawTokens(probabilities, uniforms, null);
    const kinds = [null, { topK: 5, topP: 1 }, { topK: 0, topP: 0.95 }, { topK: 4000, topP: 1 }];
    const mixed = await drawTokens(probabilities, uniforms, { topK: 0, topP: 1 }, (row) => kinds[row % 4]!);
    expect(mixed.filter((_, row) => row % 4 === 0)).toEqual(plain.filter((_, row) => row % 4 === 0));
    const fewer = await drawTokens(probabilities, uniforms, { topK: 5, topP: 1 });
    expect(mixed.filter((_, row) => row % 4 === 1)).toEqual(fewer.filter((_, row) => row % 4 === 1));
    expect(fewer).not.toEqual(plain);
  });

  it('takes the first of the likeliest tokens where it is greedy', async () => {
    const even = Array.from({ length: size }, (_, i) => (i === 4321 || i === 4330 ? 0.4 : 0.2 / (size - 2)));
    expect(await drawTokens(even, [0.1, 0.9], null, undefined, true)).toEqual([4321, 4321]);
  });

  it('draws no token without probability, even at the end of a block', async () => {
    const some = Array.from({ length: size }, (_, i) => (i % 100 < 3 ? 1 / size : 0));
    const all = Array.from({ length: 2000 }, (_, i) => (i < 1999 ? i / 1999 : 1 - 2 ** -23));
    const drawn = await drawTokens(some, all, null);
    expect(drawn.filter((token) => token % 100 >= 3)).toEqual([]);
    expect(new Set(drawn).size).toBeGreaterThan(140);
  });
});
