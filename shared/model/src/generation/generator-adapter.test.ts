import type { Canary } from '@forge/contracts';
import type { Parameters } from '@forge/weights';
import { trainedAdapter, wholeAdapter } from '../adapter/adapter.fixture';
import { initializeAdapter } from '../adapter/initialize-adapter';
import type { WeightMode } from '../adapter/weight-source';
import { initializeParameters } from '../hugging-face/initialize';
import { supervisedLoss } from '../training/supervised';
import { TrainStep } from '../training/train-step';
import { canaryTokens } from './canary';
import { engine, generatorOf, sampling, tiny, watchedEngine } from './generator.fixture';
import { LogprobScorer } from './logprob-scorer';

const base = { parameters: initializeParameters(tiny, 1), adapter: wholeAdapter };
const fresh = initializeAdapter(tiny, { ...wholeAdapter, seed: 1 });
const request = (rolloutIds: readonly string[] = ['a']) => ({
  ...{ rolloutIds, promptTokenIds: [1, 2, 3], seed: 1, sampling: sampling({ maxTokens: 10 }) },
});
const TEMPERATURE = 0.8;

/** Announcement of an adapter by its trainer. */
async function canaryOf(parameters: Parameters): Promise<Canary> {
  const step = await TrainStep.create({
    ...{ engine, config: tiny, base, parameters, loss: supervisedLoss, temperature: TEMPERATURE },
    optimizer: {
      ...{ learningRate: 0.02, schedule: 'constant', warmupSteps: 0, totalSteps: 10 },
      ...{ betas: [0.9, 0.95], epsilon: 1e-6, weightDecay: 0, maxGradientNorm: 1 },
    },
    ...{ microBatchTokens: 1000, logitsChunk: 8, recompute: false },
  });
  const tokenIds = canaryTokens(tiny);
  const logprobs = await step.logprobs(tokenIds);
  await step.close();
  return { tokenIds, temperature: TEMPERATURE, logprobs, tolerance: 1e-4 };
}

describe('Generator with an adapter', () => {
  it.each<WeightMode>(['inputs', 'initializers'])(
    'generates with the adapter in use, and the log-probs of training (%s)',
    async (weightMode) => {
      const generator = await generatorOf({ base, parameters: fresh, weightMode });
      const plain = await generatorOf({ parameters: base.parameters, weightMode: 'initializers' });
      const [untouched] = await generator.generate(request());
      expect(untouched!.tokenIds).toEqual((await plain.generate(request()))[0]!.tokenIds);

      const adapter = trainedAdapter(tiny);
      await generator.applyWeights(1, adapter, await canaryOf(adapter));
      const [adapted] = await generator.generate(request());
      expect(adapted!.versions).toEqual(Array(10).fill(1));
      const tokens = [...adapted!.promptTokenIds, ...adapted!.tokenIds];
      const scorer = await LogprobScorer.create({
        ...{ engine, config: tiny, base, parameters: adapter, maxBatchTokens: 100 },
      });
      const [scores] = await scorer.score([tokens]);
      adapted!.logprobs.forEach((logprob, t) =>
        expect(Math.abs(logprob - scores![t + 3]!)).toBeLessThan(1e-5),
      );
      const [before] = await plain.generate(request());
      expect(adapted!.logprobs[0]).not.toBeCloseTo(before!.logprobs[0]!, 3);
      await Promise.all([generator.close(), plain.close(), scorer.release()]);
    },
  );

  it('swaps adapters without a new program', async () => {
    let programs = 0;
    const beforeProgram = () => Promise.resolve(void (programs += 1));
    const options = { base, parameters: fresh, weightMode: 'inputs' as const };
    const generator = await generatorOf({ ...options, engine: watchedEngine({ beforeProgram }) });
    for (const version of [1, 2, 3])
      await generator.applyWeights(version, trainedAdapter(tiny, wholeAdapter, version));
    await generator.generate(request());
    expect([programs, generator.version]).toEqual([1, 3]);
    await generator.close();
  });

  describe('refuses a version whose canary is not what the trainer found, and goes on with the one it has', () => {
    const adapter = trainedAdapter(tiny);
    const refusal = { code: 'CONTRACT_CANARY_MISMATCH', details: { version: 2 } };

    it.each<[string, WeightMode, Partial<typeof base>, Parameters]>([
      ['other bytes', 'inputs', {}, trainedAdapter(tiny, wholeAdapter, 2)],
      ['other bytes, in the graph', 'initializers', {}, trainedAdapter(tiny, wholeAdapter, 2)],
      ['one that is not applied', 'inputs', {}, fresh],
      [
        'a layer left out',
        'inputs',
        { adapter: { ...wholeAdapter, targets: wholeAdapter.targets.slice(1) } },
        adapter,
      ],
      ['another scale', 'inputs', { adapter: { ...wholeAdapter, alpha: 7 } }, adapter],
      ['another base', 'inputs', { parameters: initializeParameters(tiny, 2) }, adapter],
    ])('%s', async (_, weightMode, change, parameters) => {
      const generator = await generatorOf({
        base: { ...base, ...change },
        parameters: fresh,
        weightMode,
        version: 1,
      });
      const before = await generator.generate(request());
      const canary = await canaryOf(adapter);
      await expect(generator.applyWeights(2, parameters, canary)).rejects.toMatchObject(refusal);
      expect(generator.version).toBe(1);
      expect(await generator.generate(request())).toEqual(before);
      await generator.applyWeights(3, parameters);
      expect(generator.version).toBe(3);
      await generator.close();
    });

    it('log-probs that are no numbers', async () => {
      const generator = await generatorOf({ base, parameters: fresh, weightMode: 'inputs' });
      const broken = trainedAdapter(tiny);
      for (const { data } of broken.values()) data.fill(NaN);
      await expect(generator.applyWeights(2, broken, await canaryOf(adapter))).rejects.toMatchObject(refusal);
      await generator.close();
    });
  });
});
