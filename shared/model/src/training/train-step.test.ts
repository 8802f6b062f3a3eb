import { createEngine, type Engine } from '@forge/engine';
import { ForgeError } from '@forge/errors';
import { add, evaluate, mul, sub, sum, type Values } from '@forge/graph';
import { defineAlgorithm, grpoLoss, tokenMean, type Loss } from '@forge/rl';
import { parametersHash, readTensors, type Parameters } from '@forge/weights';
import { initializeParameters } from '../hugging-face/initialize';
import { LogprobScorer } from '../generation/logprob-scorer';
import { cutMicroBatches, type MicroBatch, type TrainEpisode } from './micro-batches';
import type { ModelConfig } from '../transformer/model-config';
import { supervisedEpisode, supervisedLoss } from './supervised';
import { buildTrainGraph } from './train-graph';
import type { StepResult } from './step-result';
import { TrainStep, type TrainStepOptions } from './train-step';

/** Every feature that has parameters or a gradient of its own: shared heads, norms of heads, biases, a tied head. */
const config: ModelConfig = {
  architecture: 'qwen3',
  hiddenSize: 8,
  layers: 2,
  heads: 4,
  kvHeads: 2,
  headDim: 4,
  intermediateSize: 12,
  vocabSize: 11,
  maxPositions: 32,
  rmsNormEpsilon: 1e-5,
  rope: { theta: 100, scaling: { type: 'none' } },
  tieWordEmbeddings: true,
  attentionBias: true,
  attentionOutputBias: false,
  mlpBias: false,
  qkNorm: true,
  initializerRange: 0.3,
};

/** Fixed pseudo-random numbers in [0, 1). */
const noise = (i: number, seed: number): number => ((i + 1) * 0.6180339887 + seed * 0.7548776662) % 1;

function parametersOf(model: ModelConfig, seed: number): Parameters {
  const parameters = initializeParameters(model, seed);
  // Norms and biases start at one and zero: moved, so that their gradients are of no special case.
  for (const { shape, data } of parameters.values()) {
    if (shape.length === 1) data.forEach((value, i) => (data[i] = value + 0.2 * (noise(i, seed) - 0.5)));
  }
  return parameters;
}

/** Episodes of `lengths` tokens, all but the first two trained. */
function episodesOf(lengths: readonly number[], version = 0): TrainEpisode[] {
  return lengths.map((length, row) => {
    const mask = Array.from({ length }, (_, t): 0 | 1 => (t < 2 ? 0 : 1));
    return {
      tokenIds: mask.map((_, t) => Math.floor(noise(t, row) * config.vocabSize)),
      mask,
      logprobs: mask.map((m, t) => -2.4 * m * (0.8 + 0.4 * noise(t, row + 50))),
      referenceLogprobs: mask.map((m, t) => -2.4 * m * (0.8 + 0.4 * noise(t, row + 90))),
      versions: mask.map((m) => (m ? version : -1)),
      advantage: 2 * noise(row, 3) - 1,
    };
  });
}

const engine = createEngine({ threads: 2 });
const loss = grpoLoss({ clipEpsilon: 0.2, klCoefficient: 0.1 });
const optimizer = {
  learningRate: 0.01,
  schedule: 'constant',
  warmupSteps: 0,
  totalSteps: 10,
  betas: [0.9, 0.95],
  // Far above the default, so that an update is a smooth function of the gradient and rounding stays rounding.
  epsilon: 1e-2,
  weightDecay: 0.1,
  maxGradientNorm: 1,
} as const;

/** The same engine, with parameters, gradients and moments as tensors of its own. */
const deviceEngine: Engine = {
  ...{ options: engine.options, memory: 'device' },
  compile: (outputs, options) => engine.compile(outputs, options),
  put: (tensor) => engine.put(tensor),
};

/** The engine, with memory for so many padded tokens of a train step at once. */
function holding(tokensAtMost: number, engine: Engine): Engine {
  return {
    ...{ options: engine.options, memory: engine.memory },
    put: (tensor) => engine.put(tensor),
    compile: async (outputs, options) => {
      const program = await engine.compile(outputs, options);
      const run: typeof program.run = (feeds, options) => {
        const [rows = 0, width = 0] = feeds['tokens']?.shape ?? [];
        if (rows * width <= tokensAtMost) return program.run(feeds, options);
        return Promise.reject(new ForgeError('CAPACITY_DEVICE_MEMORY', 'the device is out of memory', {}));
      };
      const { inputNames, outputNames } = program;
      return { inputNames, outputNames, run, release: () => program.release() };
    },
  };
}

async function trainStep(changes: Partial<TrainStepOptions> = {}): Promise<TrainStep> {
  return TrainStep.create({
    engine,
    config,
    parameters: parametersOf(config, 1),
    loss,
    temperature: 0.9,
    optimizer,
    microBatchTokens: 1000,
    logitsChunk: 8,
    recompute: false,
    ...changes,
  });
}

/** All that training goes on with, its values read. */
async function stored(step: TrainStep) {
  const { firstMoments, secondMoments, ...counts } = step.state();
  const state = {
    ...counts,
    firstMoments: await readTensors(firstMoments),
    secondMoments: await readTensors(secondMoments),
  };
  return { parameters: await readTensors(step.parameters()), state };
}

const largestDifference = (a: Parameters, b: Parameters): number =>
  Math.max(
    ...[...a].flatMap(([name, { data }]) => [...data].map((x, i) => Math.abs(x - b.get(name)!.data[i]!))),
  );

/** Feeds of the graph, for the reference interpreter. */
function referenceFeeds(parameters: Parameters, batch: MicroBatch, episodes: number): Record<string, Values> {
  const { rows, width, distinct } = batch;
  const grid = (data: Iterable<number | bigint>, count = rows): Values => ({
    shape: [count, width],
    data: Float64Array.from(data as Iterable<number>, Number),
  });
  const vector = (data: BigInt64Array): Values => ({
    shape: [data.length],
    data: Float64Array.from(data, Number),
  });
  const scalar = (value: number): Values => ({ shape: [], data: Float64Array.of(value) });
  return {
    ...Object.fromEntries(
      [...parameters].map(([name, { shape, data }]) => [name, { shape, data: Float64Array.from(data) }]),
    ),
    tokens: grid(batch.tokens, distinct),
    positions: grid(
      Array.from({ length: distinct * width }, (_, at) => at % width),
      distinct,
    ),
    rowOf: vector(batch.rowOf),
    mask: grid(batch.mask),
    behaviour: grid(batch.behaviour),
    reference: grid(batch.reference),
    advantages: grid(batch.advantages),
    trainedIndex: grid(batch.trainedIndex, distinct),
    trainedPositions: vector(batch.trainedPositions),
    targets: vector(batch.targets),
    tokenCount: scalar(batch.mask.reduce((sum, one) => sum + one, 0)),
    sequenceCount: scalar(episodes),
  };
}

describe('buildTrainGraph', () => {
  const different = episodesOf([6, 4, 5]);
  const [first, second] = different as [TrainEpisode, TrainEpisode];
  // Two more of the first one's tokens, whose own terms are others.
  const alike = [second, different[2]!].map(({ advantage }, k) => ({
    ...first,
    advantage,
    logprobs: Array.from(first.logprobs, (logprob) => logprob * (1 + 0.05 * (k + 1))),
  }));
  const episodes = [...different, ...alike];
  const [batch] = cutMicroBatches(episodes, 1000);

  it.each([
    ['kept activations and a tied head', { tied: true, recompute: false }],
    ['recomputed activations and a head of its own', { tied: false, recompute: true }],
  ])('has the gradient of the whole loss that finite differences give, with %s', (_, { tied, recompute }) => {
    const model = { ...config, tieWordEmbeddings: tied };
    const parameters = parametersOf(model, 1);
    const graph = buildTrainGraph(parameters, {
      config: model,
      loss,
      temperature: 0.9,
      logitsChunk: 4,
      recompute,
    });
    const feeds = referenceFeeds(parameters, batch!, episodes.length);
    const gradients = evaluate(graph.gradients, feeds);
    for (const name of parameters.keys()) {
      const { shape, data } = feeds[name]!;
      const direction = data.map((_x, i) => noise(i, 11) - 0.5);
      const lossAt = (step: number): number =>
        evaluate(
          { loss: graph.loss },
          { ...feeds, [name]: { shape, data: data.map((x, i) => x + step * direction[i]!) } },
        ).loss.data[0]!;
      const slope = (lossAt(1e-5) - lossAt(-1e-5)) / 2e-5;
      const found = gradients[name]!.data.reduce((sum, g, i) => sum + g * direction[i]!, 0);
      const agrees = Math.abs(found - slope) < 1e-7 + 1e-5 * Math.abs(slope);
      expect({ name, agrees, found, slope }).toMatchObject({ agrees: true });
      expect(found).not.toBe(0);
    }
  });

  it('gives episodes alike the sum of what each has alone', () => {
    const parameters = parametersOf(config, 1);
    const options = { config, loss, temperature: 0.9, logitsChunk: 4, recompute: false };
    const graph = buildTrainGraph(parameters, options);
    const together = referenceFeeds(parameters, batch!, episodes.length);
    expect([batch!.rows, batch!.distinct]).toEqual([5, 3]);
    const counts = { tokenCount: together['tokenCount']!, sequenceCount: together['sequenceCount']! };
    const sums = new Map<string, number[]>();
    for (const episode of episodes) {
      const [alone] = cutMicroBatches([episode], 1000);
      const feeds = { ...referenceFeeds(parameters, alone!, 1), ...counts };
      for (const [name, { data }] of Object.entries(evaluate(graph.gradients, feeds)))
        sums.set(
          name,
          [...data].map((x, i) => x + (sums.get(name)?.[i] ?? 0)),
        );
    }
    for (const [name, { data }] of Object.entries(evaluate(graph.gradients, together)))
      data.forEach((x, i) => expect(x).toBeCloseTo(sums.get(name)![i]!, 12));
  });

  it('gives the step the loss and gradient norm of the reference interpreter', async () => {
    const parameters = parametersOf(config, 1);
    const options = { config, loss, temperature: 0.9, logitsChunk: 4, recompute: false };
    const graph = buildTrainGraph(parameters, options);
    const feeds = referenceFeeds(parameters, batch!, episodes.length);
    const expected = evaluate({ loss: graph.loss }, feeds).loss.data[0]!;
    const gradients: Record<string, Values> = evaluate(graph.gradients, feeds);
    const norm = Math.hypot(...Object.values(gradients).flatMap(({ data }) => [...data]));
    const step = await trainStep();
    const result = await step.step(episodes);
    expect(result.loss).toBeCloseTo(expected, 5);
    expect(result.gradientNorm).toBeCloseTo(norm, 5);
    await step.close();
  });
});

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

  describe('with several updates a batch', () => {
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

describe('supervised training', () => {
  const examples = [
    supervisedEpisode([1, 2, 3], [4, 5]),
    supervisedEpisode([3, 2, 1], [5, 6, 7]),
    supervisedEpisode([2, 2], [8]),
  ];

  it('trains the answer and not the prompt', () => {
    expect(examples[0]).toMatchObject({
      tokenIds: [1, 2, 3, 4, 5],
      mask: [0, 0, 0, 1, 1],
      versions: [-1, -1, -1, -1, -1],
    });
  });

  it('learns one batch by heart, from the loss of guessing', async () => {
    const step = await trainStep({
      parameters: initializeParameters({ ...config, initializerRange: 0.02 }, 1),
      loss: supervisedLoss,
      temperature: 1,
      optimizer: { ...optimizer, epsilon: 1e-8, weightDecay: 0, learningRate: 0.02 },
    });
    const first = await step.step(examples);
    expect(first.loss).toBeCloseTo(Math.log(config.vocabSize), 1);
    expect(first).toMatchObject({ tokens: 6, logprobMismatch: 0, logprobMismatchAnyVersion: 0, metrics: {} });
    let last = first.loss;
    for (let i = 0; i < 60; i++) last = (await step.step(examples)).loss;
    expect(last).toBeLessThan(0.02);
  });
});
