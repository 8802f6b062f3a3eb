import { setImmediate } from 'node:timers/promises';
import type { HostTensor } from '@forge/engine';
import { generatorOf, sampling, tiny, watchedEngine } from './generator.fixture';
import { initializeParameters } from '../hugging-face/initialize';

describe('Generator', () => {
  it('raises NUMERIC_NON_FINITE when the weights give no probabilities', async () => {
    const parameters = initializeParameters(tiny, 1);
    parameters.get('model.norm.weight')!.data[3] = NaN;
    const generator = await generatorOf({ parameters, version: 5 });
    const request = { rolloutIds: ['a', 'b'], promptTokenIds: [1, 2, 3], seed: 1, sampling: sampling() };
    await expect(generator.generate(request)).rejects.toMatchObject({
      code: 'NUMERIC_NON_FINITE',
      details: { version: 5 },
    });
    await generator.applyWeights(6, initializeParameters(tiny, 1));
    expect((await generator.generate(request))[0]!.tokenIds).toHaveLength(12);
    await generator.close();
  });

  it('takes the newest of overlapping new weights, whatever their order', async () => {
    let release = (): void => undefined;
    let gate = Promise.resolve();
    const generator = await generatorOf({ engine: watchedEngine({ beforeProgram: () => gate }) });
    gate = new Promise((resolve) => (release = resolve));
    const first = generator.applyWeights(3, initializeParameters(tiny, 3));
    const newest = generator.applyWeights(5, initializeParameters(tiny, 5));
    const late = generator.applyWeights(4, initializeParameters(tiny, 4));
    release();
    await Promise.all([first, newest, late]);
    expect(generator.version).toBe(5);
    const request = { rolloutIds: ['a'], promptTokenIds: [1, 2, 3], seed: 1, sampling: sampling() };
    const [completion] = await generator.generate(request);
    const fresh = await generatorOf({ version: 5, parameters: initializeParameters(tiny, 5) });
    expect(completion).toEqual((await fresh.generate(request))[0]);
    // Weights may also go back, as when the trainer starts again from a checkpoint.
    await generator.applyWeights(2, initializeParameters(tiny, 2));
    expect(generator.version).toBe(2);
    await Promise.all([generator.close(), fresh.close()]);
  });

  it('goes on with the weights it has when new ones fail', async () => {
    let fails = false;
    const beforeProgram = (): Promise<void> =>
      fails ? Promise.reject(new Error('no memory')) : Promise.resolve();
    const generator = await generatorOf({ engine: watchedEngine({ beforeProgram }) });
    fails = true;
    await expect(generator.applyWeights(1, initializeParameters(tiny, 2))).rejects.toThrow('no memory');
    fails = false;
    expect(generator.version).toBe(0);
    await generator.applyWeights(2, initializeParameters(tiny, 2));
    expect(generator.version).toBe(2);
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
    await generator.applyWeights(7, initializeParameters(tiny, 2));
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

  it('shares the weights that are inputs, and says when others have taken their place', async () => {
    const fed: unknown[] = [];
    let replaced = 0;
    const generator = await generatorOf({
      weightMode: 'inputs',
      engine: watchedEngine({ onRun: (feeds) => fed.push((feeds['model.norm.weight'] as HostTensor).data) }),
      onReplaced: () => (replaced += 1),
      chunk: 4,
    });
    const second = initializeParameters(tiny, 2);
    const request = { rolloutIds: ['a'], promptTokenIds: [1, 2, 3], seed: 1, sampling: sampling() };
    const running = generator.generate(request);
    await generator.applyWeights(1, second);
    await running;
    expect(replaced).toBe(1);
    expect(fed.at(-1)).toBe(second.get('model.norm.weight')!.data);
    const third = initializeParameters(tiny, 3);
    await generator.applyWeights(2, third);
    // Nothing is decoded, nor asked for.
    while (replaced < 2) await setImmediate();
    await generator.generate(request);
    expect(fed.at(-1)).toBe(third.get('model.norm.weight')!.data);
    await generator.close();
  });
});
