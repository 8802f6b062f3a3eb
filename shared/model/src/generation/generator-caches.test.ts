import type { Completion } from '@forge/contracts';
import { createEngine, type AnyTensor, type DeviceTensor, type Engine, type RunOutputs } from '@forge/engine';
import { engineCandidates } from '@forge/testing';
import fc from 'fast-check';
import { initializeParameters } from '../hugging-face/initialize';
import type { ModelConfig } from '../transformer/model-config';
import type { Generator, GeneratorOptions } from './generator';
import { engine as cpu, generatorOf, sampling, tiny } from './generator.fixture';

const config: ModelConfig = { ...tiny, maxPositions: 256 };
const CHUNK = 4;
const ROWS = 6;

/** The engine with its caches in the memory named. */
function inMemory(engine: Engine, memory: 'host' | 'device'): Engine {
  return {
    ...{ options: engine.options, memory },
    compile: (outputs, options) => engine.compile(outputs, options),
    put: (tensor) => engine.put(tensor),
  };
}

interface Watch {
  onFeed?: (name: string, tensor: AnyTensor) => void;
  onOutputs?: (outputs: RunOutputs) => void;
  onKept?: (tensor: DeviceTensor) => void;
}

/** An engine with its caches on the device that shows what comes and goes. */
function watched(engine: Engine, { onFeed, onOutputs, onKept }: Watch): Engine {
  return {
    ...{ options: engine.options, memory: 'device' },
    put: async (tensor) => {
      onFeed?.('put', tensor);
      const there = await engine.put(tensor);
      onKept?.(there);
      return there;
    },
    compile: async (outputs, options) => {
      const program = await engine.compile(outputs, options);
      const { inputNames, outputNames } = program;
      const run: typeof program.run = async (feeds, how) => {
        for (const [name, tensor] of Object.entries(feeds)) onFeed?.(name, tensor);
        const found = await program.run(feeds, how);
        onOutputs?.(found);
        for (const tensor of Object.values(found.kept)) onKept?.(tensor);
        return found;
      };
      return { inputNames, outputNames, run, release: () => program.release() };
    },
  };
}

/** Device tensors that are alive, and the most that were at a time. */
function counted(engine: Engine): { engine: Engine; live: Set<DeviceTensor>; most: () => number } {
  const live = new Set<DeviceTensor>();
  let most = 0;
  const onKept = (tensor: DeviceTensor): void => {
    const dispose = tensor.dispose.bind(tensor);
    tensor.dispose = () => {
      live.delete(tensor);
      dispose();
    };
    most = Math.max(most, live.add(tensor).size);
  };
  return { engine: watched(engine, { onKept }), live, most: () => most };
}

/** Something that happens after so many chunks of the sequence that is always there. */
interface Happening {
  chunk: number;
  what: 'join' | 'leave' | 'weights';
  promptLength: number;
  maxTokens: number;
  rollouts: number;
}

const happenings = fc.array(
  fc.record<Happening>({
    chunk: fc.integer({ min: 1, max: 12 }),
    what: fc.constantFrom('join', 'join', 'join', 'leave', 'weights'),
    promptLength: fc.oneof(fc.integer({ min: 1, max: 20 }), fc.integer({ min: 60, max: 200 })),
    maxTokens: fc.integer({ min: 1, max: 30 }),
    rollouts: fc.integer({ min: 1, max: 3 }),
  }),
  { minLength: 3, maxLength: 10 },
);

const promptOf = (length: number, seed: number): number[] =>
  Array.from({ length }, (_, t) => (seed + t * t + 3 * t) % config.vocabSize);

/** Ends of all sequences of a story; a cancelled one ends with its code. */
async function told(
  engine: Engine,
  story: readonly Happening[],
  options: Partial<GeneratorOptions> = {},
): Promise<(Completion[] | string)[]> {
  const generator = await generatorOf({
    ...{ engine, config, chunk: CHUNK, maxBatch: ROWS, weightMode: 'inputs' },
    ...options,
  });
  const ends: Promise<Completion[] | string>[] = [];
  const leaving: AbortController[] = [];
  const join = ({ promptLength, maxTokens, rollouts }: Happening, at: number): void => {
    const abort = new AbortController();
    leaving.push(abort);
    const generated = generator.generate({
      rolloutIds: Array.from({ length: rollouts }, (_, i) => `${at}-${i}`),
      promptTokenIds: promptOf(promptLength, at),
      ...{ seed: 3, sampling: sampling({ maxTokens }), signal: abort.signal },
    });
    ends.push(generated.catch((error: { code: string }) => error.code));
  };
  const happen = (one: Happening, at: number): void => {
    if (one.what === 'join') join(one, at);
    else if (one.what === 'leave') leaving.shift()?.abort();
    else void generator.applyWeights(at + 1, initializeParameters(config, at + 2));
  };
  let chunks = 0;
  const always = generator.generate({
    ...{ rolloutIds: ['always'], promptTokenIds: promptOf(5, 1), seed: 3 },
    sampling: sampling({ maxTokens: 60 }),
    onGrowth: () => {
      chunks += 1;
      story.forEach((one, at) => one.chunk === chunks && happen(one, at));
    },
  });
  const all = [await always, ...(await Promise.all(ends))];
  await generator.close();
  return all;
}

const ask = (generator: Generator, rolloutIds: string[], maxTokens: number): Promise<Completion[]> =>
  generator.generate({
    ...{ rolloutIds, promptTokenIds: [1, 2, 3], seed: 3, sampling: sampling({ maxTokens }) },
  });

for (const { name, options, missing } of engineCandidates()) {
  const title = `Generator with its caches on the device, by ${name}`;
  const here = missing === null ? describe : describe.skip;
  here(missing === null ? title : `${title} (skipped: ${missing})`, () => {
    const engine = createEngine(options);

    it.each([
      ['that keep their caches under new weights', false],
      ['that compute them anew', true],
    ])(
      'gives the bits of caches on the host to sequences %s, whoever joins and leaves',
      async (_, refreshCache) => {
        await fc.assert(
          fc.asyncProperty(happenings, async (story) => {
            const [host, device] = [
              await told(inMemory(engine, 'host'), story, { refreshCache }),
              await told(inMemory(engine, 'device'), story, { refreshCache }),
            ];
            expect(device).toEqual(host);
          }),
          { numRuns: name === 'onnx on the CPU' ? 10 : 2, seed: 11 },
        );
      },
    );

    it('frees what no sequence needs any more, and holds no more of it after many chunks', async () => {
      const { engine: counting, live, most } = counted(engine);
      const generator = await generatorOf({ engine: counting, config, chunk: 2 });
      const tensors = 2 * config.layers;
      await ask(generator, ['a', 'b', 'c'], 8);
      expect(live.size).toBe(0);
      const early = most();
      await Promise.all([ask(generator, ['a', 'b', 'c'], 200), ask(generator, ['d'], 7)]);
      expect(live.size).toBe(0);
      expect(most()).toBe(early);
      // Caches, what decoding has added to them, and the index.
      expect(early).toBeLessThanOrEqual(2 * tensors + 1);
      const abort = new AbortController();
      const given = { rolloutIds: ['a', 'b'], promptTokenIds: [1, 2, 3], seed: 3 };
      const cancelled = generator.generate({
        ...{ ...given, sampling: sampling({ maxTokens: 100 }), signal: abort.signal },
        onGrowth: () => abort.abort(),
      });
      await expect(cancelled).rejects.toMatchObject({ code: 'CANCELLED' });
      await generator.close();
      expect(live.size).toBe(0);
    });
  });
}

describe('Generator with its caches on the device', () => {
  it('moves keys and values over the host for sequences that join alone', async () => {
    const moved: number[] = [];
    let bytes = 0;
    const isCache = ({ dtype, shape }: AnyTensor): boolean => dtype === 'float32' && shape.length === 4;
    const add = (tensor: AnyTensor): void => {
      if ('data' in tensor && isCache(tensor)) bytes += tensor.data.byteLength;
    };
    const onOutputs = ({ host }: RunOutputs): void => {
      Object.values(host).forEach(add);
      if (!('sampled' in host)) return;
      moved.push(bytes);
      bytes = 0;
    };
    const engine = watched(cpu, { onFeed: (_, tensor) => add(tensor), onOutputs });
    const generator = await generatorOf({ engine, config, chunk: CHUNK });
    let joined: Promise<Completion[]> | null = null;
    let chunks = 0;
    await generator.generate({
      ...{ rolloutIds: ['a', 'b'], promptTokenIds: [1, 2, 3], seed: 3 },
      sampling: sampling({ maxTokens: 5 * CHUNK }),
      onGrowth: ({ rolloutId }) => {
        if (rolloutId === 'a' && ++chunks === 2) joined = ask(generator, ['c'], 2 * CHUNK);
      },
    });
    await joined;
    // Eight positions of one prompt; the empty cache of prefill has as many.
    const prompt = 2 * config.layers * config.kvHeads * 8 * config.headDim * 4;
    expect(moved).toEqual([2 * prompt, 0, 2 * prompt, 0, 0]);
    await generator.close();
  });

  it('goes on after a failure with nothing left on the device', async () => {
    let fails = false;
    const { engine: counting, live } = counted(cpu);
    const failing: Engine = {
      ...counting,
      compile: async (outputs, how) => {
        const program = await counting.compile(outputs, how);
        const run: typeof program.run = (feeds, options) => {
          // The caches of the second layer are put together no more.
          const isLate = 'grown' in feeds && live.size <= 2 * 2 * config.layers;
          if (fails && isLate) return Promise.reject(new Error('no memory'));
          return program.run(feeds, options);
        };
        const { inputNames, outputNames } = program;
        return { inputNames, outputNames, run, release: () => program.release() };
      },
    };
    const generator = await generatorOf({ engine: failing, config });
    const expected = await ask(generator, ['a', 'b'], 12);
    fails = true;
    await expect(ask(generator, ['a', 'b'], 12)).rejects.toThrow('no memory');
    expect(live.size).toBe(0);
    fails = false;
    expect(await ask(generator, ['a', 'b'], 12)).toEqual(expected);
    await generator.close();
  });
});
