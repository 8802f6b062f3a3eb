import { getEventListeners } from 'node:events';
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Sampling } from '@forge/contracts';
import { Generator } from './generator';
import { engine, generatorOf, letters, sampling, tiny } from './generator.fixture';
import { loadModel } from '../hugging-face/hugging-face';
import { initializeParameters } from '../hugging-face/initialize';
import { LogprobScorer } from './logprob-scorer';

const stories = join(__dirname, '../../../../../shared/models/stories260k');

describe('Generator', () => {
  it.each(['initializers', 'inputs'] as const)(
    'gives the log-probs of the scorer, weights as %s',
    async (weightMode) => {
      const generator = await generatorOf({ weightMode });
      const completions = await generator.generate({
        rolloutIds: ['x-0', 'x-1', 'x-2'],
        promptTokenIds: [1, 2, 3, 4, 5, 6, 7, 8, 9],
        seed: 1,
        sampling: sampling({ temperature: 0.8 }),
      });
      const parameters = initializeParameters(tiny, 1);
      const scorer = await LogprobScorer.create({
        engine,
        config: tiny,
        parameters,
        temperature: 0.8,
        maxBatchTokens: 64,
      });
      const scores = await scorer.score(
        completions.map(({ promptTokenIds, tokenIds }) => [...promptTokenIds, ...tokenIds]),
      );
      completions.forEach(({ logprobs }, i) => {
        logprobs.forEach((logprob, t) => expect(Math.abs(logprob - scores[i]![9 + t]!)).toBeLessThan(1e-5));
      });
      expect(new Set(completions.map(({ text }) => text)).size).toBeGreaterThan(1);
      await generator.close();
    },
  );

  it('draws tokens as often as the model says', async () => {
    const generator = await generatorOf({ maxBatch: 2000 });
    const rolloutIds = Array.from({ length: 2000 }, (_, i) => `r-${i}`);
    const completions = await generator.generate({
      rolloutIds,
      promptTokenIds: [1, 2],
      seed: 5,
      sampling: sampling({ maxTokens: 1 }),
    });
    const counts = new Map<number, { observed: number; expected: number }>();
    for (const { tokenIds, logprobs } of completions) {
      const entry = counts.get(tokenIds[0]!) ?? { observed: 0, expected: 2000 * Math.exp(logprobs[0]!) };
      counts.set(tokenIds[0]!, { ...entry, observed: entry.observed + 1 });
    }
    const chiSquare = [...counts.values()].reduce(
      (sum, { observed, expected }) => sum + (observed - expected) ** 2 / expected,
      0,
    );
    // 99.9 % quantile for 10 degrees of freedom.
    expect(chiSquare).toBeLessThan(29.6);
    await generator.close();
  });

  it('keeps to the top-k likeliest tokens, and to the fewest that hold top-p', async () => {
    const generator = await generatorOf({ maxBatch: 600 });
    const ask = async (overrides: Partial<Sampling>) => {
      const rolloutIds = Array.from({ length: 500 }, (_, i) => `r-${i}`);
      const request = {
        rolloutIds,
        promptTokenIds: [1, 2],
        seed: 5,
        sampling: sampling({ maxTokens: 1, ...overrides }),
      };
      const drawn = new Map(
        (await generator.generate(request)).map((c) => [c.tokenIds[0]!, Math.exp(c.logprobs[0]!)]),
      );
      return [...drawn.values()].sort((a, b) => b - a);
    };
    const all = await ask({});
    expect(await ask({ topK: 3 })).toEqual(all.slice(0, 3));
    const nucleus = await ask({ topP: 0.5 });
    const held = nucleus.reduce((a, b) => a + b, 0);
    expect(held).toBeGreaterThanOrEqual(0.5);
    expect(held - nucleus.at(-1)!).toBeLessThan(0.5);
    await generator.close();
  });

  it('ends at an end token, which belongs to the tokens and not to the text', async () => {
    const plain = await generatorOf();
    const request = { rolloutIds: ['a'], promptTokenIds: [1, 2, 3], seed: 1, sampling: sampling() };
    const [free] = await plain.generate(request);
    const end = free!.tokenIds[5]!;
    const at = free!.tokenIds.indexOf(end);
    const generator = await generatorOf({ endTokenIds: [end] });
    const [ended] = await generator.generate(request);
    expect(ended).toMatchObject({
      tokenIds: free!.tokenIds.slice(0, at + 1),
      stopReason: 'end',
      text: letters(free!.tokenIds.slice(0, at)),
    });
    await Promise.all([plain.close(), generator.close()]);
  });

  it('ends at a stop string that spans tokens, and cuts the text before it', async () => {
    const generator = await generatorOf();
    const request = { rolloutIds: ['a'], promptTokenIds: [1, 2, 3], seed: 1, sampling: sampling() };
    const [free] = await generator.generate(request);
    const stop = free!.text.slice(3, 6);
    const at = free!.text.indexOf(stop);
    const [stopped] = await generator.generate({ ...request, sampling: sampling({ stop: [stop] }) });
    expect(stopped).toMatchObject({
      text: free!.text.slice(0, at),
      tokenIds: free!.tokenIds.slice(0, at + 3),
      stopReason: 'stop',
    });
    await generator.close();
  });

  it('ends at a stop string that is a special token, and at an end token before one', async () => {
    const plain = await generatorOf();
    const request = { rolloutIds: ['a'], promptTokenIds: [1, 2, 3], seed: 1, sampling: sampling() };
    const [free] = await plain.generate(request);
    const special = free!.tokenIds[5]!;
    const at = free!.tokenIds.indexOf(special);
    const options = {
      specialTokens: new Map([[special, '<|turn|>']]),
      decodeText: (ids: readonly number[], { skipSpecialTokens = true } = {}) =>
        ids.map((id) => (id === special ? (skipSpecialTokens ? '' : '<|turn|>') : letters([id]))).join(''),
    };
    const stopping = { ...request, sampling: sampling({ stop: ['<|turn|>'] }) };
    const expected = {
      tokenIds: free!.tokenIds.slice(0, at + 1),
      text: letters(free!.tokenIds.slice(0, at)),
    };
    const generator = await generatorOf(options);
    expect(await generator.generate(stopping)).toMatchObject([{ ...expected, stopReason: 'stop' }]);
    const ending = await generatorOf({ ...options, endTokenIds: [special] });
    expect(await ending.generate(stopping)).toMatchObject([{ ...expected, stopReason: 'end' }]);
    await Promise.all([plain.close(), generator.close(), ending.close()]);
  });

  it('ends where the positions of the model end, in the middle of a chunk too', async () => {
    const generator = await generatorOf({ chunk: 6 });
    const other = generator.generate({
      rolloutIds: ['b'],
      promptTokenIds: [1],
      seed: 1,
      sampling: sampling({ maxTokens: 12 }),
    });
    const promptTokenIds = Array.from({ length: 60 }, () => 1);
    const [completion] = await generator.generate({
      rolloutIds: ['a'],
      promptTokenIds,
      seed: 1,
      sampling: sampling(),
    });
    expect(completion).toMatchObject({ stopReason: 'length' });
    expect(completion!.tokenIds).toHaveLength(4);
    expect((await other)[0]!.tokenIds).toHaveLength(12);
    await expect(
      generator.generate({
        rolloutIds: ['a'],
        promptTokenIds: [...promptTokenIds, 1, 1, 1, 1],
        seed: 1,
        sampling: sampling(),
      }),
    ).rejects.toMatchObject({ code: 'CAPACITY_PROMPT_TOO_LONG' });
    await generator.close();
  });

  it('finds where a stop string ends without decoding every prefix', async () => {
    let decoded = 0;
    const decodeText = (ids: readonly number[]): string => {
      decoded += 1;
      return letters(ids);
    };
    const generator = await generatorOf({ chunk: 60, decodeText });
    const request = {
      rolloutIds: ['a'],
      promptTokenIds: [1, 2, 3],
      seed: 1,
      sampling: sampling({ maxTokens: 60 }),
    };
    const [free] = await generator.generate(request);
    const stop = free!.text.slice(40, 46);
    const at = free!.text.indexOf(stop);
    decoded = 0;
    const [stopped] = await generator.generate({
      ...request,
      sampling: sampling({ maxTokens: 60, stop: [stop] }),
    });
    expect(stopped).toMatchObject({
      text: free!.text.slice(0, at),
      tokenIds: free!.tokenIds.slice(0, at + 6),
      stopReason: 'stop',
    });
    expect(decoded).toBeLessThanOrEqual(8);
    await generator.close();
  });

  it('gives up a request that is aborted and goes on with the others', async () => {
    const generator = await generatorOf();
    const controller = new AbortController();
    const request = { promptTokenIds: [1, 2, 3], seed: 1, sampling: sampling({ maxTokens: 40 }) };
    const aborted = generator.generate({ ...request, rolloutIds: ['a'], signal: controller.signal });
    const other = generator.generate({ ...request, rolloutIds: ['b'] });
    expect(getEventListeners(controller.signal, 'abort')).toHaveLength(1);
    controller.abort();
    await expect(aborted).rejects.toMatchObject({ code: 'CANCELLED' });
    expect((await other)[0]!.tokenIds).toHaveLength(40);
    await generator.close();
  });

  it('leaves no listener on the signal of a request that is done', async () => {
    const generator = await generatorOf();
    const { signal } = new AbortController();
    const request = {
      promptTokenIds: [1, 2, 3],
      rolloutIds: ['a', 'b'],
      seed: 1,
      sampling: sampling({ maxTokens: 3 }),
      signal,
    };
    await generator.generate(request);
    expect(getEventListeners(signal, 'abort')).toHaveLength(0);
    await generator.close();
    await expect(generator.generate(request)).rejects.toMatchObject({ code: 'CANCELLED' });
    expect(getEventListeners(signal, 'abort')).toHaveLength(0);
  });
});

const describeIfPresent = existsSync(stories) ? describe : describe.skip;

describeIfPresent('stories260k (skipped where ../shared is absent)', () => {
  it('gives the golden greedy text exactly, and its log-probs to 1e-4', async () => {
    const model = await loadModel(stories);
    const golden = JSON.parse(readFileSync(join(stories, 'greedy.json'), 'utf8')) as {
      token_ids: number[];
      logprobs: number[];
      text: string;
    };
    const generator = await Generator.create({
      engine,
      config: model.config,
      parameters: model.parameters,
      version: 0,
      endTokenIds: [],
      maxBatch: 8,
      chunk: 16,
      weightMode: 'initializers',
      decodeText: (ids, options) => model.tokenizer.decode(ids, options),
    });
    const count = golden.token_ids.length - 1;
    const [completion] = await generator.generate({
      rolloutIds: ['greedy'],
      promptTokenIds: [1],
      seed: 0,
      sampling: sampling({ temperature: 0, maxTokens: count }),
    });
    expect(completion!.tokenIds).toEqual(golden.token_ids.slice(1));
    golden.logprobs.slice(-count).forEach((logprob, t) => {
      expect(Math.abs(completion!.logprobs[t]! - logprob)).toBeLessThan(1e-4);
    });
    await generator.close();
  });
});
