import type { Completion } from '@forge/contracts';
import { createEngine } from '@forge/engine';
import fc from 'fast-check';
import type { ModelConfig } from '../transformer/model-config';
import { BLOCK_TOKENS } from './cache-block';
import type { Generator } from './generator';
import { generatorOf, sampling, tiny } from './generator.fixture';

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
        generatorOf({
          ...{ engine: createEngine({ threads }), config: { ...config, ...shape }, weightMode },
          ...{ prefixCacheBytes, decodeText: String },
        });
      const [cold, warm, evicting] = await Promise.all([make(0), make(64 * MIB), make(3 * blockBytes)]);
      await fc.assert(
        fc.asyncProperty(batches, async (rounds) => {
          for (const round of rounds) {
            const alone: Completion[][] = [];
            for (const prompt of round) alone.push(await ask(cold, tokensOf(prompt)));
            for (const generator of [warm, evicting]) {
              const together = round.map((prompt) => ask(generator, tokensOf(prompt)));
              expect(await Promise.all(together)).toEqual(alone);
            }
          }
        }),
        { numRuns: 12, seed: 5 },
      );
      const { reusedTokens, prefilledTokens } = warm.stats();
      expect(reusedTokens).toBeGreaterThan(prefilledTokens);
      expect(cold.stats().prefilledTokens).toBeGreaterThan(2 * prefilledTokens);
      await Promise.all([cold.close(), warm.close(), evicting.close()]);
    },
  );
});
