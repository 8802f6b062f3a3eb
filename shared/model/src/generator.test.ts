import { getEventListeners } from 'node:events';
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { samplingSchema, type Sampling } from '@forge/contracts';
import { createEngine, type Engine, type HostTensor } from '@forge/engine';
import { Generator, type GeneratorOptions } from './generator';
import { initializeParameters } from './initialize';
import { LogprobScorer } from './logprob-scorer';
import { loadModel } from './hugging-face';
import type { ModelConfig } from './model-config';

const engine = createEngine({ threads: 1, provider: 'cpu' });
const stories = join(__dirname, '..', '..', '..', '..', 'shared', 'models', 'stories260k');

const tiny: ModelConfig = {
  architecture: 'llama',
  hiddenSize: 16,
  layers: 2,
  heads: 4,
  kvHeads: 2,
  headDim: 4,
  intermediateSize: 32,
  vocabSize: 11,
  maxPositions: 64,
  rmsNormEpsilon: 1e-5,
  rope: { theta: 10_000, scaling: { type: 'none' } },
  tieWordEmbeddings: true,
  attentionBias: false,
  attentionOutputBias: false,
  mlpBias: false,
  qkNorm: false,
  initializerRange: 0.3,
};

const sampling = (overrides: Partial<Sampling> = {}): Sampling =>
  samplingSchema.parse({ maxTokens: 12, ...overrides });
const letters = (ids: readonly number[]): string => ids.map((id) => 'abcdefghijk'[id]).join('');

async function generatorOf(overrides: Partial<GeneratorOptions> = {}): Promise<Generator> {
  const config = overrides.config ?? tiny;
  return Generator.create({
    engine,
    config,
    parameters: initializeParameters(config, 1),
    version: 0,
    endTokenIds: [],
    maxBatch: 64,
    chunk: 4,
    weights: 'initializers',
    decodeText: letters,
    ...overrides,
  });
}

/** An engine that shows every run's inputs, and makes sessions wait. */
function watchedEngine(watch: {
  onRun?: (feeds: Readonly<Record<string, HostTensor>>) => void;
  beforeSession?: () => Promise<void>;
}): Engine {
  return {
    options: engine.options,
    createSession: async (onnx) => {
      await watch.beforeSession?.();
      const session = await engine.createSession(onnx);
      return {
        inputNames: session.inputNames,
        outputNames: session.outputNames,
        run: (feeds) => {
          watch.onRun?.(feeds);
          return session.run(feeds);
        },
        release: () => session.release(),
      };
    },
  };
}

describe('Generator', () => {
  it.each([
    ['initializers', 1],
    ['initializers', 2],
    ['inputs', 1],
  ] as const)(
    'gives the same bits whatever a rollout is batched with, weights as %s on %d threads',
    async (weights, threads) => {
      const config: ModelConfig = {
        ...tiny,
        hiddenSize: 128,
        headDim: 32,
        intermediateSize: 352,
        vocabSize: 97,
        initializerRange: 0.1,
      };
      const generator = await generatorOf({
        maxBatch: 256,
        engine: createEngine({ threads, provider: 'cpu' }),
        config,
        weights,
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
    const generator = await generatorOf({ engine: createEngine({ threads: 4, provider: 'cpu' }), config });
    const promptTokenIds = Array.from({ length: 600 }, (_, i) => (i * i) % 11);
    const ask = (rolloutIds: string[]) =>
      generator.generate({ rolloutIds, promptTokenIds, seed: 3, sampling: sampling() });
    const [alone] = await ask(['a']);
    const [together] = await ask(['a', 'b', 'c', 'd', 'e', 'f', 'g']);
    expect(together).toEqual(alone);
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
    const onRun = ({ positions }: Readonly<Record<string, HostTensor>>): void => {
      if (positions) cells.push(positions.shape[0]! * positions.shape[1]!);
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
    const onRun = (feeds: Readonly<Record<string, HostTensor>>): void => {
      if (feeds.cacheOf) caches.push([feeds['keys.0']!.shape[0]!, feeds.cacheOf.shape[0]!]);
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

  it('raises NUMERIC_NON_FINITE when the weights give no probabilities', async () => {
    const parameters = initializeParameters(tiny, 1);
    parameters.get('model.norm.weight')!.data[3] = NaN;
    const generator = await generatorOf({ parameters, version: 5 });
    const request = { rolloutIds: ['a', 'b'], promptTokenIds: [1, 2, 3], seed: 1, sampling: sampling() };
    await expect(generator.generate(request)).rejects.toMatchObject({
      code: 'NUMERIC_NON_FINITE',
      details: { version: 5 },
    });
    await generator.setWeights(6, initializeParameters(tiny, 1));
    expect((await generator.generate(request))[0]!.tokenIds).toHaveLength(12);
    await generator.close();
  });

  it('takes the newest of overlapping new weights, whatever their order', async () => {
    let release = (): void => undefined;
    let gate = Promise.resolve();
    const generator = await generatorOf({ engine: watchedEngine({ beforeSession: () => gate }) });
    gate = new Promise((resolve) => (release = resolve));
    const first = generator.setWeights(3, initializeParameters(tiny, 3));
    const newest = generator.setWeights(5, initializeParameters(tiny, 5));
    const late = generator.setWeights(4, initializeParameters(tiny, 4));
    release();
    await Promise.all([first, newest, late]);
    expect(generator.version).toBe(5);
    const request = { rolloutIds: ['a'], promptTokenIds: [1, 2, 3], seed: 1, sampling: sampling() };
    const [completion] = await generator.generate(request);
    const fresh = await generatorOf({ version: 5, parameters: initializeParameters(tiny, 5) });
    expect(completion).toEqual((await fresh.generate(request))[0]);
    // Weights may also go back, as when the trainer starts again from a checkpoint.
    await generator.setWeights(2, initializeParameters(tiny, 2));
    expect(generator.version).toBe(2);
    await Promise.all([generator.close(), fresh.close()]);
  });

  it('goes on with the weights it has when new ones fail', async () => {
    let fails = false;
    const beforeSession = (): Promise<void> =>
      fails ? Promise.reject(new Error('no memory')) : Promise.resolve();
    const generator = await generatorOf({ engine: watchedEngine({ beforeSession }) });
    fails = true;
    await expect(generator.setWeights(1, initializeParameters(tiny, 2))).rejects.toThrow('no memory');
    fails = false;
    expect(generator.version).toBe(0);
    await generator.setWeights(2, initializeParameters(tiny, 2));
    expect(generator.version).toBe(2);
    await generator.close();
  });

  it.each(['initializers', 'inputs'] as const)(
    'gives the log-probs of the scorer, weights as %s',
    async (weights) => {
      const generator = await generatorOf({ weights });
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

  it('lets new weights take effect between chunks and marks every token with its version', async () => {
    const generator = await generatorOf({ chunk: 4 });
    const request = {
      rolloutIds: ['a'],
      promptTokenIds: [1, 2, 3],
      seed: 1,
      sampling: sampling({ maxTokens: 40 }),
    };
    const [before] = await generator.generate(request);
    const running = generator.generate(request);
    await generator.setWeights(7, initializeParameters(tiny, 2));
    const [mixed] = await running;
    const switched = mixed!.versions.indexOf(7);
    expect(switched).toBeGreaterThanOrEqual(0);
    expect(switched % 4).toBe(0);
    expect(mixed!.versions).toEqual([
      ...Array<number>(switched).fill(0),
      ...Array<number>(40 - switched).fill(7),
    ]);
    expect(mixed!.tokenIds.slice(0, switched)).toEqual(before!.tokenIds.slice(0, switched));
    expect(generator.version).toBe(7);
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
      weights: 'initializers',
      decodeText: (ids) => model.tokenizer.decode(ids),
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
