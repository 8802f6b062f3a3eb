import { mul, sub } from '@forge/graph';
import { defineAlgorithm, grpoLoss, tokenMean, type Loss } from '@forge/rl';
import { parametersHash, readTensors } from '@forge/weights';
import { LogprobScorer } from '../generation/logprob-scorer';
import type { StepResult } from './step-result';
import { TrainStep, type TrainStepOptions } from './train-step';
import {
  config,
  deviceEngine,
  engine,
  episodesOf,
  optimizer,
  parametersOf,
  stored,
  trainStep,
} from './train-step.fixture';

describe.each([
  ['host', engine],
  ['device', deviceEngine],
] as const)('several updates a batch, in the memory of the %s', (_, engine) => {
  const here = (changes: Partial<TrainStepOptions> = {}) => trainStep({ engine, ...changes });

  const episodes = episodesOf([9, 4, 6, 12, 5, 4, 7]);

  const several = { updatesPerBatch: 2, minibatches: 3 };
  const hashOf = async (step: TrainStep) => parametersHash(await readTensors(step.parameters()));

  it('gives the bits of an update after the other on parts of the batch, in its order', async () => {
    const [whole, parts] = [
      await here({ ...several, microBatchTokens: 12 }),
      await here({ microBatchTokens: 12 }),
    ];
    const results: StepResult[] = [];
    for (const part of [0, 1, 2, 0, 1, 2])
      results.push(await parts.step(episodes.slice([0, 2, 4][part], [2, 4, 7][part])));
    const result = await whole.step(episodes);
    expect(await hashOf(whole)).toBe(await hashOf(parts));
    expect([whole.stepNumber, parts.stepNumber]).toEqual([1, 6]);
    const { firstMoments, secondMoments, ...counts } = whole.state();
    expect(counts).toEqual({ step: 1, extraUpdates: 5 });
    expect(await readTensors(firstMoments)).toEqual(await readTensors(parts.state().firstMoments));
    expect(await readTensors(secondMoments)).toEqual(await readTensors(parts.state().secondMoments));
    const mean = (value: (one: StepResult) => number) =>
      results.reduce((sum, one) => sum + value(one), 0) / results.length;
    expect(result.loss).toBeCloseTo(
      mean(({ loss }) => loss),
      10,
    );
    expect(result.gradientNorm).toBeCloseTo(
      mean(({ gradientNorm }) => gradientNorm),
      10,
    );
    expect(result.metrics['clip_fraction']).toBeCloseTo(
      mean(({ metrics }) => metrics['clip_fraction']!),
      10,
    );
    expect(result.tokens).toBe(episodes.reduce((count, { tokenIds }) => count + tokenIds.length - 2, 0));
    expect(result.paddedTokens).toBe(results.reduce((count, one) => count + one.paddedTokens, 0));
    await Promise.all([whole.close(), parts.close()]);
  });

  it('has no more parts than episodes', async () => {
    const [whole, parts] = [await here({ minibatches: 9 }), await here()];
    const batch = episodesOf([5, 3]);
    await whole.step(batch);
    for (const one of batch) await parts.step([one]);
    expect(await hashOf(whole)).toBe(await hashOf(parts));
  });

  it('shows the loss the log-probs before the first update', async () => {
    const moving: Loss = (terms) => {
      const moved = sub(terms.logprobs, terms.old);
      return {
        loss: tokenMean(mul(mul(terms.logprobs, terms.advantages), -1), terms),
        metrics: { moved: tokenMean(mul(moved, moved), terms) },
      };
    };
    const [once, twice] = [await here({ loss: moving }), await here({ loss: moving, updatesPerBatch: 2 })];
    const scored = async (): Promise<number[][]> => {
      const parameters = await readTensors(once.parameters());
      const options = { engine, config, parameters, temperature: 0.9, maxBatchTokens: 1000 };
      return (await LogprobScorer.create(options)).score(episodes.map(({ tokenIds }) => tokenIds));
    };
    const before = await scored();
    const first = await once.step(episodes);
    const after = await scored();
    expect(first.metrics['moved']).toBe(0);
    const squares = before.flatMap((row, k) =>
      row.flatMap((old, t) => (episodes[k]!.mask[t] ? [(after[k]![t]! - old) ** 2] : [])),
    );
    const expected = squares.reduce((sum, one) => sum + one, 0) / squares.length;
    const { metrics } = await twice.step(episodes);
    expect(expected).toBeGreaterThan(1e-4);
    expect(metrics['moved']! / (expected / 2)).toBeCloseTo(1, 3);
  });

  it('compares log-probs with the generator before the first update alone', async () => {
    const step = await here({ ...several, optimizer: { ...optimizer, learningRate: 0.3 } });
    const single = await here();
    const result = await step.step(episodes.slice(0, 2));
    const { logprobMismatch } = await single.step(episodes.slice(0, 1));
    expect(result.logprobMismatch).toBe(logprobMismatch);
  });

  it('leaves everything as before the batch when a later update is refused', async () => {
    const { loss: measured } = defineAlgorithm({ name: 'measured', advantage: () => [], loss: grpoLoss() });
    const parameters = parametersOf(config, 1);
    const scorer = await LogprobScorer.create({
      engine,
      config,
      parameters,
      temperature: 0.9,
      maxBatchTokens: 1000,
    });
    const scores = await scorer.score(episodes.map(({ tokenIds }) => tokenIds));
    const fresh = episodes.map((one, k) => ({
      ...one,
      logprobs: scores[k]!.map((x, t) => (one.mask[t] ? x : 0)),
    }));
    const poisoned = fresh.map((one, k) => (k === 3 ? { ...one, advantage: Number.NaN } : one));
    const step = await here({ loss: measured, ...several, limits: { maxKl: 1e-4 } });
    const before = structuredClone(await stored(step));
    // The first update is on the policy itself, the ones after it are not.
    const beyond = { code: 'NUMERIC_LIMIT_EXCEEDED', details: { what: 'KL to the behaviour policy' } };
    await expect(step.step(fresh)).rejects.toMatchObject(beyond);
    expect(await stored(step)).toEqual(before);
    const spoilt = { code: 'NUMERIC_NON_FINITE', details: { tensor: 'advantages', step: 0 } };
    await expect(step.step(poisoned, { learningRate: 1e-5 })).rejects.toMatchObject(spoilt);
    expect(await stored(step)).toEqual(before);
    await step.step(fresh, { learningRate: 1e-5 });
    expect(step.stepNumber).toBe(1);
    await step.close();
  });

  it('goes on from a restored state with the bits of a run without a break', async () => {
    const whole = await here(several);
    await whole.step(episodes);
    await whole.step(episodesOf([5, 8]));
    const resumed = await here({ ...several, parameters: await readTensors(whole.parameters()) });
    await resumed.restore(structuredClone((await stored(whole)).state));
    for (const step of [whole, resumed]) await step.step(episodesOf([7, 3, 6]));
    expect(resumed.stepNumber).toBe(3);
    expect(await stored(resumed)).toEqual(await stored(whole));
  });
});
