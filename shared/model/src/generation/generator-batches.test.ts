import type { Sampling } from '@forge/contracts';
import { createEngine, type AnyTensor } from '@forge/engine';
import { trainedAdapter, wholeAdapter } from '../adapter/adapter.fixture';
import { initializeParameters } from '../hugging-face/initialize';
import { generatorOf, sampling, tiny, watchedEngine } from './generator.fixture';
import type { ModelConfig } from '../transformer/model-config';

describe('Generator', () => {
  it.each([
    ['initializers', 1, 'model'],
    ['initializers', 2, 'model'],
    ['inputs', 1, 'model'],
    ['initializers', 2, 'adapter'],
    ['inputs', 1, 'adapter'],
  ] as const)(
    'gives the same bits whatever a rollout is batched with, weights as %s on %d threads, those of a %s',
    async (weightMode, threads, of) => {
      const config: ModelConfig = {
        ...tiny,
        hiddenSize: 128,
        headDim: 32,
        intermediateSize: 352,
        vocabSize: 97,
        initializerRange: 0.1,
      };
      const base = { parameters: initializeParameters(config, 1), adapter: { ...wholeAdapter, rank: 16 } };
      const adapted = { base, parameters: trainedAdapter(config, base.adapter) };
      const generator = await generatorOf({
        ...(of === 'adapter' && adapted),
        maxBatch: 256,
        engine: createEngine({ threads }),
        config,
        weightMode,
        decodeText: String,
      });
      const ask = (ids: string[], promptTokenIds: number[], overrides: Partial<Sampling> = {}) =>
        generator.generate({ rolloutIds: ids, promptTokenIds, seed: 3, sampling: sampling(overrides) });
      const long = Array.from({ length: 33 }, (_, i) => i % 97);
      // From 128 rows on, products with weights that are not prepacked are divided otherwise among threads.
      const some = Array.from({ length: 150 }, (_, i) => `f-${i}`);
      for (const prompt of [[1, 2, 3], [4], long]) {
        const [alone] = await ask(['a'], prompt);
        const company = [
          ask(['b'], [4]),
          ask(['c'], long, { maxTokens: 25 }),
          ask(['d'], [5, 6, 7, 8, 9, 10, 1, 2, 3, 4, 5, 6], { maxTokens: 7 }),
          ask(some, prompt, { maxTokens: 20 }),
        ];
        const [together] = await ask(['a'], prompt);
        await Promise.all(company);
        expect(together).toEqual(alone);
      }
      await generator.close();
    },
  );

  it('gives the same bits where there are more threads than key-value heads', async () => {
    const config: ModelConfig = { ...tiny, hiddenSize: 256, headDim: 64, kvHeads: 1, maxPositions: 1024 };
    const generator = await generatorOf({ engine: createEngine({ threads: 4 }), config });
    const promptTokenIds = Array.from({ length: 600 }, (_, i) => (i * i) % 11);
    const ask = (rolloutIds: string[]) =>
      generator.generate({ rolloutIds, promptTokenIds, seed: 3, sampling: sampling() });
    const [alone] = await ask(['a']);
    const [together] = await ask(['a', 'b', 'c', 'd', 'e', 'f', 'g']);
    expect(together).toEqual(alone);
    await generator.close();
  });

  it('gives the same bits where the end of a long prompt is computed alone, with more threads than key-value heads', async () => {
    const config: ModelConfig = { ...tiny, hiddenSize: 64, headDim: 64, maxPositions: 1024 };
    const generator = await generatorOf({ engine: createEngine({ threads: 4 }), config });
    for (const length of [514, 522, 529]) {
      const ask = (i: number) =>
        generator.generate({
          rolloutIds: ['a'],
          promptTokenIds: Array.from({ length }, (_, t) => (13 * i + 7 * t + (i + 1) * t * t) % 11),
          seed: 3,
          sampling: sampling({ maxTokens: 4 }),
        });
      const together = await Promise.all([0, 1, 2, 3, 4, 5, 6, 7].map(ask));
      expect(await ask(3)).toEqual(together[3]);
    }
    await generator.close();
  });

  it('gives a row without filters the same bits beside a row with filters', async () => {
    const generator = await generatorOf();
    const ask = (ids: string[], overrides: Partial<Sampling> = {}) =>
      generator.generate({
        rolloutIds: ids,
        promptTokenIds: [1, 2, 3],
        seed: 3,
        sampling: sampling(overrides),
      });
    const ids = Array.from({ length: 50 }, (_, i) => `p-${i}`);
    const alone = await ask(ids);
    const [together] = await Promise.all([ask(ids), ask(['b'], { topK: 2, topP: 0.9 })]);
    expect(together).toEqual(alone);
    await generator.close();
  });

  it('prefills many long prompts in several runs of bounded size, with the same bits', async () => {
    const cells: number[] = [];
    const onRun = ({ tokens }: Readonly<Record<string, AnyTensor>>): void => {
      const [rows, width] = tokens!.shape as [number, number];
      if (width > 1) cells.push(rows * width);
    };
    const generator = await generatorOf({ engine: watchedEngine({ onRun }), maxBatch: 200 });
    const prompt = (i: number) =>
      Array.from({ length: 62 - (i % 3) }, (_, t) => (i * 7 + t * (1 + (i % 5))) % 11);
    const ask = (i: number) =>
      generator.generate({
        rolloutIds: [`r-${i}`],
        promptTokenIds: prompt(i),
        seed: 1,
        sampling: sampling({ maxTokens: 2 }),
      });
    const together = await Promise.all(Array.from({ length: 200 }, (_, i) => ask(i)));
    expect(cells.length).toBeGreaterThan(1);
    expect(Math.max(...cells)).toBeLessThanOrEqual(8_192);
    for (const i of [0, 1, 2, 54, 199]) expect(await ask(i)).toEqual(together[i]);
    await generator.close();
  });

  it('passes the cache of a prompt once for all its rollouts, until each has its own', async () => {
    const caches: (readonly number[])[] = [];
    const onRun = (feeds: Readonly<Record<string, AnyTensor>>): void => {
      if (feeds.tokens!.shape[1] === 1) caches.push([feeds['keys.0']!.shape[0]!, feeds.cacheOf!.shape[0]!]);
    };
    const generator = await generatorOf({ engine: watchedEngine({ onRun }), chunk: 6 });
    const ask = (ids: string[], promptTokenIds: number[]) =>
      generator.generate({ rolloutIds: ids, promptTokenIds, seed: 1, sampling: sampling({ maxTokens: 12 }) });
    const together = await Promise.all([ask(['a', 'b', 'c'], [1, 2, 3]), ask(['d', 'e'], [4, 5])]);
    expect(caches).toEqual([
      [2, 5],
      [5, 5],
    ]);
    expect([...(await ask(['a', 'b'], [1, 2, 3])), ...(await ask(['e'], [4, 5]))]).toEqual([
      ...together[0].slice(0, 2),
      together[1][1],
    ]);
    await generator.close();
  });
});
