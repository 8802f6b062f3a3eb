import type { Completion } from '@forge/contracts';
import { createEngine, type AnyTensor, type HostTensor } from '@forge/engine';
import { engineCandidates } from '@forge/testing';
import fc from 'fast-check';
import { initializeParameters } from '../hugging-face/initialize';
import type { ModelConfig } from '../transformer/model-config';
import { BLOCK_TOKENS } from '../kv-cache/cache-block';
import type { PrefillCounts } from './decoder';
import type { Generator, GeneratorOptions } from './generator';
import { generatorOf, sampling, tiny, watchedEngine } from './generator.fixture';

const config: ModelConfig = {
  ...tiny,
  hiddenSize: 64,
  headDim: 16,
  intermediateSize: 176,
  vocabSize: 97,
  maxPositions: 5 * BLOCK_TOKENS,
  initializerRange: 0.1,
};
const MIB = 2 ** 20;
/** Keys and values of a block of `config`. */
const blockBytes = 2 * config.layers * config.kvHeads * config.headDim * BLOCK_TOKENS * 4;

/** `length` tokens that are the same up to where `variant` says otherwise. */
interface Prompt {
  length: number;
  /** Positions at which the tokens turn away from those of other prompts. */
  forks: readonly number[];
}

const tokensOf = ({ length, forks }: Prompt): number[] => {
  let seed = 7;
  return Array.from({ length }, (_, t) => {
    if (forks.includes(t)) seed = 31 * seed + t + 1;
    return (seed + t * t + 3 * t) % config.vocabSize;
  });
};

const prompts = fc.record({
  length: fc.oneof(
    fc.integer({ min: 1, max: config.maxPositions - 1 }),
    fc.constantFrom(...[1, 2].flatMap((blocks) => [-1, 0, 1, 2].map((more) => blocks * BLOCK_TOKENS + more))),
  ),
  forks: fc.subarray([0, 5, BLOCK_TOKENS, BLOCK_TOKENS + 30, 2 * BLOCK_TOKENS, 4 * BLOCK_TOKENS - 1]),
});

/** Batches of prompts, one batch after the other. */
const batches = fc.array(fc.array(prompts, { minLength: 1, maxLength: 6 }), { minLength: 1, maxLength: 4 });

function ask(generator: Generator, tokens: readonly number[], ids = ['a', 'b']): Promise<Completion[]> {
  return generator.generate({
    rolloutIds: ids,
    promptTokenIds: tokens,
    seed: 3,
    sampling: sampling({ maxTokens: 6 }),
  });
}

/** A generator of `config` that keeps blocks, and what its prefills told. */
async function counting(
  options: Partial<GeneratorOptions>,
): Promise<{ generator: Generator; counts: PrefillCounts[] }> {
  const counts: PrefillCounts[] = [];
  const told = { onPrefilled: (one: PrefillCounts) => void counts.push(one) };
  const generator = await generatorOf({
    ...{ config, prefixCacheBytes: 64 * MIB, decodeText: String },
    ...told,
    ...options,
  });
  return { generator, counts };
}

function once(act: () => void): () => void {
  let isDone = false;
  return () => {
    if (!isDone) act();
    isDone = true;
  };
}

describe('Generator with a prefix cache', () => {
  it.each([
    { threads: 1, weightMode: 'initializers', shape: {} },
    { threads: 2, weightMode: 'initializers', shape: {} },
    { threads: 1, weightMode: 'inputs', shape: {} },
    { threads: 4, weightMode: 'initializers', shape: { kvHeads: 1, headDim: 64 } },
  ] as const)(
    'gives the same bits cold, warm and evicted: $threads threads, weights as $weightMode, $shape',
    async ({ threads, weightMode, shape }) => {
      const make = (prefixCacheBytes: number) =>
        counting({
          ...{ engine: createEngine({ threads }), config: { ...config, ...shape }, weightMode },
          prefixCacheBytes,
        });
      const [cold, warm, evicting] = await Promise.all([make(0), make(64 * MIB), make(3 * blockBytes)]);
      await fc.assert(
        fc.asyncProperty(batches, async (rounds) => {
          for (const round of rounds) {
            const alone: Completion[][] = [];
            for (const prompt of round) alone.push(await ask(cold.generator, tokensOf(prompt)));
            for (const { generator } of [warm, evicting]) {
              const together = round.map((prompt) => ask(generator, tokensOf(prompt)));
              expect(await Promise.all(together)).toEqual(alone);
            }
          }
        }),
        { numRuns: 12, seed: 5 },
      );
      const computed = ({ counts }: typeof cold) => counts.reduce((sum, one) => sum + one.computed, 0);
      expect(computed(cold)).toBeGreaterThan(computed(evicting));
      expect(computed(evicting)).toBeGreaterThan(computed(warm));
      await Promise.all([cold, warm, evicting].map(({ generator }) => generator.close()));
    },
  );

  it('keeps no more than the bound, the blocks used last first', async () => {
    const { counts, generator } = await counting({ prefixCacheBytes: 4 * blockBytes });
    const [first, second] = [0, 1].map((variant) =>
      tokensOf({ length: 3 * BLOCK_TOKENS + 1, forks: variant ? [0] : [] }),
    ) as [number[], number[]];
    await ask(generator, first);
    await ask(generator, first);
    await ask(generator, second);
    // Only the first block of `first` was left beside the three of `second`.
    await ask(generator, first);
    expect(counts).toEqual([
      { computed: 3 * BLOCK_TOKENS, reused: 0 },
      { computed: 0, reused: 3 * BLOCK_TOKENS },
      { computed: 3 * BLOCK_TOKENS, reused: 0 },
      { computed: 2 * BLOCK_TOKENS, reused: BLOCK_TOKENS },
    ]);
    await generator.close();
  });

  it('computes the blocks that prompts of one admission share once, and those of one depth together', async () => {
    const runs: (readonly number[])[] = [];
    const onRun = ({ tokens, lengths }: Readonly<Record<string, AnyTensor>>): void => {
      if (tokens!.shape[1]! > 1) runs.push([...((lengths as HostTensor).data as BigInt64Array)].map(Number));
    };
    const { counts, generator } = await counting({ engine: watchedEngine({ onRun }) });
    const prompt = (fork: number) => tokensOf({ length: 2 * BLOCK_TOKENS + 41, forks: [fork] });
    await Promise.all([70, 90, 130].map((fork) => ask(generator, prompt(fork))));
    expect(runs).toEqual([[0], [64, 64, 64], [128, 128, 128]]);
    expect(counts).toEqual([{ computed: 7 * 64 - 3 * 24, reused: 2 * 64 }]);
    await generator.close();
  });

  it('computes anew what was kept under other weights, those of the same version too', async () => {
    const { counts, generator } = await counting({ refreshCache: true });
    const tokens = tokensOf({ length: 200, forks: [] });
    await ask(generator, tokens);
    for (const [version, seed] of [
      [1, 2],
      [1, 3],
      [0, 1],
    ] as const) {
      await generator.applyWeights(version, initializeParameters(config, seed));
      const fresh = await counting({ version, parameters: initializeParameters(config, seed) });
      expect(await ask(generator, tokens)).toEqual(await ask(fresh.generator, tokens));
      await fresh.generator.close();
    }
    expect(counts).toEqual(Array(4).fill({ computed: 199, reused: 0 }));
    await generator.close();
  });

  it('refreshes the cache of rows under way from blocks of the new weights alone', async () => {
    const { counts, generator } = await counting({ refreshCache: true, chunk: 2 });
    const tokens = tokensOf({ length: 100, forks: [] });
    const running = generator.generate({
      ...{ rolloutIds: ['a'], promptTokenIds: tokens, seed: 3, sampling: sampling({ maxTokens: 20 }) },
      onGrowth: once(() => void generator.applyWeights(1, initializeParameters(config, 2))),
    });
    const [{ versions }] = (await running) as [Completion];
    const kept = versions.lastIndexOf(0) + 1;
    expect(versions).toEqual([...Array<number>(kept).fill(0), ...Array<number>(20 - kept).fill(1)]);
    expect(counts).toEqual([
      { computed: 99, reused: 0 },
      { computed: 99 + kept, reused: 0 },
    ]);
    await ask(generator, tokens);
    expect(counts[2]).toEqual({ computed: 35, reused: BLOCK_TOKENS });
    await generator.close();
  });

  it('serves others from the blocks of a request that was cancelled', async () => {
    const { counts, generator } = await counting({});
    const tokens = tokensOf({ length: 150, forks: [] });
    const abort = new AbortController();
    const running = generator.generate({
      ...{ rolloutIds: ['a'], promptTokenIds: tokens, seed: 3, sampling: sampling({ maxTokens: 100 }) },
      ...{ signal: abort.signal, onGrowth: () => abort.abort() },
    });
    await expect(running).rejects.toMatchObject({ code: 'CANCELLED' });
    expect(generator.stats()).toMatchObject({ activeRows: 0, queuedRows: 0 });
    const { generator: cold } = await counting({ prefixCacheBytes: 0 });
    expect(await ask(generator, tokens)).toEqual(await ask(cold, tokens));
    expect(counts[1]).toEqual({ computed: 21, reused: 2 * BLOCK_TOKENS });
    await Promise.all([generator.close(), cold.close()]);
  });

  for (const { name, options, missing } of engineCandidates()) {
    const title = `gives what a cold cache gives by ${name}`;
    (missing === null ? it : it.skip)(
      missing === null ? title : `${title} (skipped: ${missing})`,
      async () => {
        const [cold, warm] = await Promise.all([
          counting({ engine: createEngine(options), prefixCacheBytes: 0 }),
          counting({ engine: createEngine(options) }),
        ]);
        for (const [length, forks] of [
          [100, []],
          [180, []],
          [250, [130]],
          [180, [10]],
        ] as const) {
          const tokens = tokensOf({ length, forks });
          expect(await ask(warm.generator, tokens)).toEqual(await ask(cold.generator, tokens));
        }
        expect(warm.counts.map(({ reused }) => reused)).toEqual([0, 64, 128, 0]);
        await Promise.all([cold.generator.close(), warm.generator.close()]);
      },
    );
  }
});
