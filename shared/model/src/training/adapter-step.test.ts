import { createEngine } from '@forge/engine';
import { evaluate, type Values } from '@forge/graph';
import { grpoLoss } from '@forge/rl';
import { engineCandidates } from '@forge/testing';
import { parametersHash, readTensors, type Parameters } from '@forge/weights';
import { trainedAdapter, wholeAdapter } from '../adapter/adapter.fixture';
import { adapterScale } from '../adapter/adapter-factors';
import { initializeAdapter } from '../adapter/initialize-adapter';
import { mergeAdapter } from '../adapter/merge-adapter';
import { tiny } from '../generation/generator.fixture';
import { LogprobScorer, type LogprobScorerOptions } from '../generation/logprob-scorer';
import { initializeParameters } from '../hugging-face/initialize';
import { supervisedEpisode, supervisedLoss } from './supervised';
import { buildTrainGraph } from './train-graph';
import { TrainStep, type TrainStepOptions } from './train-step';

const config = { ...tiny, attentionBias: true };
const baseParameters = initializeParameters(config, 1);
const base = { parameters: baseParameters, adapter: wholeAdapter };
const fresh = (): Parameters => initializeAdapter(config, { ...wholeAdapter, seed: 1 });
const sequences = [
  [1, 2, 3, 4, 5, 6, 7],
  [10, 9, 8],
  [0, 5, 0, 5, 0],
];

const candidates = engineCandidates();
for (const { name, missing } of candidates)
  if (missing !== null) process.stderr.write(`${name} is skipped: ${missing}\n`);

const scoresOf = async (
  engine: ReturnType<typeof createEngine>,
  options: Pick<LogprobScorerOptions, 'parameters' | 'base'>,
): Promise<number[]> => {
  const scorer = await LogprobScorer.create({ engine, config, maxBatchTokens: 100, ...options });
  const scores = (await scorer.score(sequences)).flat();
  await scorer.release();
  return scores;
};

const largest = (a: readonly number[], b: readonly number[]): number =>
  Math.max(...a.map((x, i) => Math.abs(x - b[i]!)));

describe('buildTrainGraph with an adapter', () => {
  it.each([false, true])(
    'has gradients of the adapter alone, those of finite differences (recompute %s)',
    (recompute) => {
      const adapter = trainedAdapter(config);
      const graph = buildTrainGraph(adapter, {
        ...{ config, base, loss: supervisedLoss, temperature: 0.9, logitsChunk: 4, recompute },
      });
      expect(Object.keys(graph.gradients)).toEqual([...adapter.keys()]);
      const values = (shape: number[], data: Iterable<number>): Values => ({
        shape,
        data: Float64Array.from(data),
      });
      const feeds: Record<string, Values> = {
        tokens: values([1, 5], [1, 2, 3, 4, 5]),
        positions: values([1, 5], [0, 1, 2, 3, 4]),
        mask: values([1, 5], [0, 1, 1, 0, 1]),
        rowOf: values([1], [0]),
        trainedIndex: values([1, 5], [3, 0, 1, 3, 2]),
        trainedPositions: values([3], [1, 2, 4]),
        targets: values([3], [3, 4, 6]),
        tokenCount: values([], [3]),
        ...Object.fromEntries(
          [...adapter].map(([name, { shape, data }]) => [name, values([...shape], data)]),
        ),
      };
      const gradients = evaluate(graph.gradients, feeds);
      for (const name of adapter.keys()) {
        const { shape, data } = feeds[name]!;
        const direction = data.map((_, i) => ((i * 0.6180339887) % 1) - 0.5);
        const lossAt = (step: number): number =>
          evaluate(
            { loss: graph.loss },
            { ...feeds, [name]: { shape, data: data.map((x, i) => x + step * direction[i]!) } },
          ).loss.data[0]!;
        const slope = (lossAt(1e-5) - lossAt(-1e-5)) / 2e-5;
        const found = gradients[name]!.data.reduce((sum, g, i) => sum + g * direction[i]!, 0);
        expect(Math.abs(found - slope)).toBeLessThan(1e-7 + 1e-5 * Math.abs(slope));
        expect(found).not.toBe(0);
      }
    },
  );
});

describe.each(candidates)('an adapter by $name', ({ options, missing }) => {
  const onEngine = missing === null ? it : it.skip;
  const engine = createEngine(options);

  const stepOf = (changes: Partial<TrainStepOptions> = {}): Promise<TrainStep> =>
    TrainStep.create({
      ...{ engine, config, base, parameters: fresh(), loss: supervisedLoss, temperature: 1 },
      optimizer: {
        ...{ learningRate: 0.02, schedule: 'constant', warmupSteps: 0, totalSteps: 10 },
        ...{ betas: [0.9, 0.95], epsilon: 1e-6, weightDecay: 0, maxGradientNorm: 1 },
      },
      ...{ microBatchTokens: 1000, logitsChunk: 8, recompute: false },
      ...changes,
    });
  const examples = [
    supervisedEpisode([1, 2, 3], [4, 5]),
    supervisedEpisode([3, 2, 1], [5, 6, 7]),
    supervisedEpisode([2, 2], [8]),
  ];

  onEngine('changes nothing as long as it is fresh, and else what merging it changes', async () => {
    const alone = await scoresOf(engine, { parameters: baseParameters });
    expect(largest(await scoresOf(engine, { base, parameters: fresh() }), alone)).toBeLessThan(1e-6);
    const adapter = trainedAdapter(config);
    const beside = await scoresOf(engine, { base, parameters: adapter });
    expect(largest(beside, alone)).toBeGreaterThan(0.1);
    const merged = mergeAdapter(baseParameters, adapter, adapterScale(wholeAdapter));
    expect(largest(beside, await scoresOf(engine, { parameters: merged }))).toBeLessThan(2e-5);
  });

  onEngine('learns one batch by heart beside a base that stays as it is', async () => {
    const before = parametersHash(baseParameters);
    const step = await stepOf();
    const first = await step.step(examples);
    let last = first.loss;
    for (let i = 0; i < 60; i++) last = (await step.step(examples)).loss;
    expect(first.loss).toBeGreaterThan(1.5);
    // The head is frozen, too, and its rows are short: no loss is smaller.
    expect(last).toBeLessThan(0.2);
    expect(parametersHash(baseParameters)).toBe(before);
    expect([...step.parameters().keys()]).toEqual([...fresh().keys()]);
    expect([...step.state().firstMoments.keys()]).toEqual([...fresh().keys()]);
    await step.close();
  });

  onEngine.each([
    ['one update a batch', {}],
    ['several', { updatesPerBatch: 2, minibatches: 2 }],
  ])(
    'goes on from a restored state with the bits of a training without a break, by %s',
    async (_, several) => {
      const loss = grpoLoss({ clipEpsilon: 0.2, klCoefficient: 0 });
      const options = { loss, microBatchTokens: 8, ...several };
      const whole = await stepOf(options);
      await whole.step(examples);
      await whole.step(examples.slice(1));
      const resumed = await stepOf(options);
      const { firstMoments, secondMoments, ...counts } = whole.state();
      await resumed.restore(
        {
          ...counts,
          firstMoments: structuredClone(await readTensors(firstMoments)),
          secondMoments: structuredClone(await readTensors(secondMoments)),
        },
        structuredClone(await readTensors(whole.parameters())),
      );
      for (const one of [whole, resumed]) await one.step(examples);
      expect(parametersHash(await readTensors(resumed.parameters()))).toBe(
        parametersHash(await readTensors(whole.parameters())),
      );
      expect(parametersHash(await readTensors(whole.parameters()))).not.toBe(parametersHash(fresh()));
      await Promise.all([whole.close(), resumed.close()]);
    },
  );
});
