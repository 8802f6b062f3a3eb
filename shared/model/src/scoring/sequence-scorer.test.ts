import { createEngine, ReferenceEngine, type Engine } from '@forge/engine';
import type { Parameters } from '@forge/weights';
import { engine, tiny } from '../generation/generator.fixture';
import { initializeParameters } from '../hugging-face/initialize';
import type { ModelConfig } from '../transformer/model-config';
import { SequenceScorer } from './sequence-scorer';

const scored: ModelConfig = { ...tiny, head: 'score' };

const scorerOf = (
  config: ModelConfig,
  options: { by?: Engine; parameters?: Parameters; padTokenId?: number; maxBatchTokens?: number } = {},
) =>
  SequenceScorer.create({
    engine: options.by ?? engine,
    config,
    parameters: options.parameters ?? initializeParameters(config, 3),
    padTokenId: options.padTokenId ?? null,
    maxBatchTokens: options.maxBatchTokens ?? 4096,
  });

/** Sequences of these lengths. */
const sequencesOf = (lengths: readonly number[], { vocabSize }: ModelConfig): number[][] =>
  lengths.map((length, row) => Array.from({ length }, (_, t) => (3 * t + 5 * row + t * t) % vocabSize));

describe('SequenceScorer', () => {
  it('gives the last token times the head, by hand', async () => {
    // A layer that adds nothing: the output is the norm of the embedding.
    const config = {
      ...scored,
      hiddenSize: 4,
      layers: 1,
      heads: 2,
      kvHeads: 1,
      headDim: 2,
      rmsNormEpsilon: 0,
    };
    const parameters = initializeParameters(config, 1);
    const set = (name: string, values: number[]): void => {
      parameters.get(name)!.data.set(values);
    };
    for (const name of ['self_attn.o_proj', 'mlp.down_proj'])
      parameters.get(`model.layers.0.${name}.weight`)!.data.fill(0);
    set('model.embed_tokens.weight', [0, 0, 0, 1, 3, 1, -1, 1]);
    set('score.weight', [1, 2, -1, 0.5]);
    const scorer = await scorerOf(config, { parameters });
    // [3, 1, -1, 1] / sqrt(12 / 4) and [0, 0, 0, 1] / sqrt(1 / 4).
    const [first, second] = await scorer.score([
      [0, 1],
      [1, 0],
    ]);
    expect(first).toBeCloseTo(6.5 / Math.sqrt(3), 5);
    expect(second).toBeCloseTo(1, 5);
    await scorer.release();
  });

  it('gives what the float64 reference gives', async () => {
    const sequences = sequencesOf([1, 5, 16, 17, 31], scored);
    const reference = await scorerOf(scored, { by: new ReferenceEngine(engine.options) });
    const [found, expected] = [
      await (await scorerOf(scored)).score(sequences),
      await reference.score(sequences),
    ];
    expect(new Set(expected).size).toBe(sequences.length);
    found.forEach((score, i) => expect(score).toBeCloseTo(expected[i]!, 4));
  });

  it('scores the last token that is no padding, as transformers does', async () => {
    const scorer = await scorerOf(scored, { padTokenId: 10 });
    const scores = await scorer.score([[1, 2, 3], [1, 2, 3, 10, 10], [1, 10, 3], [10, 10], [10]]);
    expect(scores[1]).toBe(scores[0]);
    expect(scores[3]).toBe(scores[4]);
    expect(scores[2]).not.toBe(scores[0]);
    const [plain] = await (await scorerOf(scored)).score([[1, 2, 3, 10, 10]]);
    expect(plain).not.toBe(scores[0]);
  });

  it.each([1, 2])(
    'gives the same bits whatever a sequence is scored with, on %d threads',
    async (threads) => {
      const config = {
        ...scored,
        hiddenSize: 288,
        headDim: 24,
        heads: 12,
        kvHeads: 4,
        intermediateSize: 640,
      };
      const lengths = [
        3, 15, 16, 17, 23, 24, 25, 31, 33, 47, 48, 49, 64, 64, 64, 64, 64, 5, 6, 7, 8, 9, 20, 21,
      ];
      const sequences = sequencesOf(lengths, config);
      const by = createEngine({ threads });
      const together = await (await scorerOf(config, { by })).score(sequences);
      const few = await scorerOf(config, { by, maxBatchTokens: 150 });
      expect(await few.score(sequences)).toEqual(together);
      for (const [i, sequence] of sequences.entries())
        expect(await few.score([sequence])).toEqual([together[i]]);
    },
  );

  it('runs no more padded tokens at once than it may', async () => {
    const runs: number[] = [];
    const watched: Engine = {
      ...{ options: engine.options, memory: engine.memory, put: (tensor) => engine.put(tensor) },
      compile: async (outputs, options) => {
        const program = await engine.compile(outputs, options);
        return {
          ...{ inputNames: program.inputNames, outputNames: program.outputNames },
          run: (feeds, how) => {
            runs.push(feeds.tokens!.shape.reduce((product, dim) => product * dim, 1));
            return program.run(feeds, how);
          },
          release: () => program.release(),
        };
      },
    };
    const scorer = await scorerOf(scored, { by: watched, maxBatchTokens: 100 });
    await scorer.score(sequencesOf([16, 16, 10, 16, 16, 9, 16, 40, 40, 40], scored));
    // Rows of 16 six at a time, rows of 40 in a width of 48 two at a time.
    expect(runs).toEqual([96, 16, 96, 48]);
  });
});
