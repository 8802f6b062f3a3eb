import { add, mul, sub, sum } from '@forge/graph';
import { defineAlgorithm, tokenMean, type Loss } from '@forge/rl';
import { parametersHash, readTensors } from '@forge/weights';
import { LogprobScorer } from '../generation/logprob-scorer';
import type { TrainEpisode } from './micro-batches';
import { supervisedEpisode } from './supervised';
import type { TrainStepOptions } from './train-step';
import {
  config,
  deviceEngine,
  engine,
  episodesOf,
  holding,
  largestDifference,
  loss,
  noise,
  optimizer,
  parametersOf,
  stored,
  trainStep,
} from './train-step.fixture';

describe.each([
  ['host', engine],
  ['device', deviceEngine],
] as const)('TrainStep in the memory of the %s', (_, engine) => {
  const here = (changes: Partial<TrainStepOptions> = {}) => trainStep({ engine, ...changes });

  const episodes = episodesOf([9, 4, 6, 12, 5, 4, 7]);

  it('tells a loss how old tokens are, whose they are, and what they were worth before the step', async () => {
    const seen: Loss = (terms) => ({
      loss: tokenMean(mul(terms.advantages, sub(terms.logprobs, terms.old)), terms),
      metrics: {
        lag: tokenMean(terms.lag, terms),
        ids: sum(terms.sequenceIds, [0]),
        advantage: tokenMean(terms.advantages, terms),
        critic: tokenMean(add(terms.values, add(terms.oldValues, terms.returns)), terms),
      },
    });
    const old = episodesOf([4], 1).map((one) => ({ ...one, advantage: [9, 9, 3, -1] }));
    const supervised = [supervisedEpisode([1, 2], [3, 4])];
    const step = await here({ loss: seen, microBatchTokens: 6 });
    await step.restore({ ...step.state(), step: 5 });
    const { loss, metrics, gradientNorm } = await step.step([...episodesOf([5], 3), ...old, ...supervised]);
    expect(loss).toBe(0);
    expect(gradientNorm).toBeGreaterThan(0);
    // Lags 2 of three tokens, 4 of two and none of two.
    expect(metrics['lag']).toBeCloseTo((3 * 2 + 2 * 4) / 7, 6);
    expect(metrics['ids']).toBe(0 + 1 + 2);
    expect(metrics['advantage']).toBeCloseTo((3 * (2 * noise(0, 3) - 1) + 3 - 1 + 2) / 7, 6);
    expect(metrics['critic']).toBe(0);
    await step.close();
  });

  it('gives the same step in micro-batches as in one, to float rounding', async () => {
    const told: string[] = [];
    const onMicroBatch = (done: number, of: number) => told.push(`${done} of ${of}`);
    const [whole, cut] = [await here(), await here({ microBatchTokens: 12, onMicroBatch })];
    const [one, many] = [await whole.step(episodes), await cut.step(episodes)];
    expect(one.paddedTokens).toBe(7 * 11);
    expect(many.paddedTokens).toBeLessThan(one.paddedTokens);
    const count = told.length - 1;
    expect(told).toEqual(Array.from({ length: count + 1 }, (_, done) => `${done} of ${count}`));
    expect(count).toBeGreaterThan(1);
    expect(many.loss).toBeCloseTo(one.loss, 5);
    expect(many.gradientNorm).toBeCloseTo(one.gradientNorm, 5);
    for (const [name, value] of Object.entries(one.metrics)) expect(many.metrics[name]).toBeCloseTo(value, 5);
    expect(
      largestDifference(await readTensors(whole.parameters()), await readTensors(cut.parameters())),
    ).toBeLessThan(1e-5);
  });

  it('begins again with micro-batches of half the size where memory ends, to the bits of that size', async () => {
    const told: string[] = [];
    const onMicroBatch = (done: number, of: number) => told.push(`${done} of ${of}`);
    const [roomy, half] = [await here(), await here({ microBatchTokens: 38 })];
    const full = await here({ engine: holding(50, engine), onMicroBatch });
    const smaller = [];
    for (let i = 0; i < 2; i++) {
      await roomy.step(episodes);
      await half.step(episodes);
      smaller.push((await full.step(episodes)).smallerMicroBatches);
    }
    expect(smaller).toEqual([38, null]);
    expect(told.slice(0, 3)).toEqual(['0 of 1', '0 of 2', '1 of 2']);
    const [a, b, c] = [await stored(roomy), await stored(half), await stored(full)];
    expect(c).toEqual(b);
    expect(largestDifference(a.parameters, c.parameters)).toBeLessThan(1e-5);
  });

  it('says what would fit where half the size does not, and has changed nothing', async () => {
    const step = await here({ engine: holding(25, engine), microBatchTokens: 22 });
    await step.step(episodes);
    const before = structuredClone(await stored(step));
    await expect(step.step(episodesOf([31, 20, 4]))).rejects.toThrow(
      'a single episode of 30 tokens takes more memory than there is; set trainer.recompute to true, or lower trainer.logitsChunk or the length of episodes: the device is out of memory',
    );
    const larger = await here({ engine: holding(25, engine) });
    await expect(larger.step(episodes)).rejects.toMatchObject({
      code: 'CAPACITY_DEVICE_MEMORY',
      message: expect.stringMatching(
        /^a micro-batch of 3 x 11 tokens .* set trainer.microBatchTokens to 16, or/,
      ),
    });
    // Half of it again: what one attempt finds out, the next begins with.
    expect(await larger.step(episodes)).toMatchObject({ smallerMicroBatches: 16 });
    expect(await stored(step)).toEqual(before);
  });

  it('gives the same step with recomputed activations', async () => {
    const [kept, again] = [await here(), await here({ recompute: true })];
    const [a, b] = [await kept.step(episodes), await again.step(episodes)];
    expect(b.loss).toBeCloseTo(a.loss, 6);
    expect(
      largestDifference(await readTensors(kept.parameters()), await readTensors(again.parameters())),
    ).toBeLessThan(1e-6);
  });

  it('clips before the moments see the gradient and reports the norm before', async () => {
    const step = await here({ optimizer: { ...optimizer, maxGradientNorm: 1e-3 } });
    const { gradientNorm } = await step.step(episodes);
    expect(gradientNorm).toBeGreaterThan(0.01);
    const moments = [...(await stored(step)).state.firstMoments.values()].flatMap(({ data }) => [...data]);
    expect(Math.hypot(...moments)).toBeCloseTo((1 - 0.9) * 1e-3, 8);
  });

  it('follows the schedule unless the call says otherwise', async () => {
    const step = await here({
      optimizer: { ...optimizer, schedule: 'linear', warmupSteps: 2, totalSteps: 4 },
    });
    const rates: number[] = [];
    for (let i = 0; i < 4; i++) rates.push((await step.step(episodes)).learningRate);
    expect(rates).toEqual([0.005, 0.01, 0.01, 0.005]);
    const before = structuredClone(await readTensors(step.parameters()));
    expect((await step.step(episodes, { learningRate: 0 })).learningRate).toBe(0);
    expect(await readTensors(step.parameters())).toEqual(before);
    expect(step.stepNumber).toBe(5);
  });

  it('gives the same bits twice', async () => {
    const run = async (): Promise<string> => {
      const step = await here({ microBatchTokens: 30 });
      for (let i = 0; i < 3; i++) await step.step(episodes);
      return parametersHash(await readTensors(step.parameters()));
    };
    expect(await run()).toBe(await run());
  });

  it('goes on from a restored state with the bits of a run without a break', async () => {
    const whole = await here();
    await whole.step(episodes);
    await whole.step(episodesOf([5, 8]));
    const resumed = await here({ parameters: await readTensors(whole.parameters()) });
    await resumed.restore(structuredClone((await stored(whole)).state));
    for (const step of [whole, resumed]) await step.step(episodesOf([7, 3, 6]));
    expect(resumed.stepNumber).toBe(3);
    expect(parametersHash(await readTensors(resumed.parameters()))).toBe(
      parametersHash(await readTensors(whole.parameters())),
    );
    expect(await stored(resumed)).toEqual(await stored(whole));
  });

  it('leaves the parameters it was given alone', async () => {
    const parameters = parametersOf(config, 1);
    const step = await here({ parameters });
    await step.step(episodes);
    expect(parameters).toEqual(parametersOf(config, 1));
  });

  describe('with something that is not finite', () => {
    const poisoned = (change: (episode: TrainEpisode) => TrainEpisode): TrainEpisode[] =>
      episodes.map((episode, i) => (i === 2 ? change(episode) : episode));

    it.each([
      ['behaviour', poisoned((e) => ({ ...e, logprobs: Array.from(e.logprobs, () => Number.NaN) }))],
      ['reference', poisoned((e) => ({ ...e, referenceLogprobs: Array.from(e.mask, () => Infinity) }))],
      ['advantages', poisoned((e) => ({ ...e, advantage: -Infinity }))],
    ])('names the input %s and updates nothing', async (tensor, batch) => {
      const step = await here();
      await step.step(episodes);
      const before = structuredClone(await stored(step));
      await expect(step.step(batch)).rejects.toMatchObject({
        code: 'NUMERIC_NON_FINITE',
        details: { tensor },
      });
      expect(await stored(step)).toEqual(before);
    });

    it('names a parameter', async () => {
      const parameters = parametersOf(config, 1);
      parameters.get('model.layers.1.mlp.up_proj.weight')!.data[3] = Number.NaN;
      const step = await here({ parameters });
      await expect(step.step(episodes)).rejects.toThrow(
        'parameter model.layers.1.mlp.up_proj.weight is not finite',
      );
    });

    it('names the parameter whose gradient overflowed though all inputs were finite', async () => {
      const step = await here();
      const batch = poisoned((e) => ({
        ...e,
        logprobs: Array.from(e.logprobs, (_, t) => (e.mask[t] ? -200 : 0)),
        advantage: -1,
      }));
      await expect(step.step(batch)).rejects.toThrow(/gradient of model\.\S+ is not finite/);
      expect(step.stepNumber).toBe(0);
    });
  });

  it('does not apply a step beyond its limits', async () => {
    const { loss: measured } = defineAlgorithm({ name: 'measured', advantage: () => [], loss });
    const free = await here({ loss: measured });
    const { gradientNorm, metrics } = await free.step(episodes);
    const kl = metrics['kl_behaviour']!;
    expect(kl).toBeGreaterThan(0);
    for (const limits of [{ maxGradientNorm: gradientNorm * 0.999 }, { maxKl: kl * 0.999 }]) {
      const step = await here({ loss: measured, limits });
      const before = structuredClone(await stored(step));
      await expect(step.step(episodes)).rejects.toMatchObject({ code: 'NUMERIC_LIMIT_EXCEEDED' });
      expect(await stored(step)).toEqual(before);
    }
    const limits = { maxGradientNorm: gradientNorm * 1.001, maxKl: kl * 1.001 };
    const wide = await here({ loss: measured, limits });
    await wide.step(episodes);
    expect(parametersHash(await readTensors(wide.parameters()))).toBe(
      parametersHash(await readTensors(free.parameters())),
    );
  });

  it('refuses an empty batch', async () => {
    await expect((await here()).step([])).rejects.toMatchObject({ code: 'CONTRACT_INVALID_MESSAGE' });
  });

  it('measures the mismatch with the behaviour over tokens of its own version, and over all of them', async () => {
    const parameters = parametersOf(config, 1);
    const scorer = await LogprobScorer.create({
      engine,
      config,
      parameters,
      temperature: 0.9,
      maxBatchTokens: 1000,
    });
    const scores = await scorer.score(episodes.map(({ tokenIds }) => tokenIds));
    const step = await here({ parameters });
    await step.step(episodes, { learningRate: 0 });
    const batch = episodes.map((episode, row) => ({
      ...episode,
      // Row 0 comes from an older version, whose log-probs were others.
      versions: Array.from(episode.mask, (m) => (m ? (row === 0 ? 0 : 1) : -1)),
      logprobs: scores[row]!.map((score, t) => (episode.mask[t] ? score - (row === 0 ? 0.5 : 0) : 0)),
    }));
    const { logprobMismatch, logprobMismatchAnyVersion } = await step.step(batch);
    expect(logprobMismatch).toBeLessThan(1e-5);
    expect(logprobMismatchAnyVersion).toBeCloseTo(0.5, 4);
    await scorer.release();
  });
});

describe('TrainStep', () => {
  it('updates on the device as on the host', async () => {
    const [host, device] = [await trainStep(), await trainStep({ engine: deviceEngine })];
    for (const batch of [episodesOf([6, 4, 9]), episodesOf([7, 3])]) {
      const [a, b] = [await host.step(batch), await device.step(batch)];
      expect(b.gradientNorm).toBeCloseTo(a.gradientNorm, 5);
    }
    expect(
      largestDifference(await readTensors(host.parameters()), await readTensors(device.parameters())),
    ).toBeLessThan(1e-6);
    const [{ state: a }, { state: b }] = [await stored(host), await stored(device)];
    expect(largestDifference(a.secondMoments, b.secondMoments)).toBeLessThan(1e-6);
  });

  it('refuses a state that does not fit the parameters', async () => {
    const step = await trainStep();
    const { state } = await stored(step);
    state.firstMoments.set('model.norm.weight', { shape: [3], data: new Float32Array(3) });
    await expect(step.restore(state)).rejects.toThrow(
      'first moment of model.norm.weight: expected shape [8], found [3]',
    );
  });
});
