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
    greedy: feed(1, () => 0),
    filters: { dtype: 'int64', shape: [], data: BigInt64Array.of(filters === null ? 0n : 1n) },
    topK: feed(1, () => filters?.topK ?? 0),
    topP: feed(1, () => filters?.topP ?? 1),
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
