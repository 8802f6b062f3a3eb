import { createEngine, type Engine } from '@forge/engine';
import { evaluate, type Values } from '@forge/graph';
import { generalizedAdvantage, ppo, type CriticOptions } from '@forge/rl';
import { readTensors, type Parameters } from '@forge/weights';
import { tiny } from '../generation/generator.fixture';
import { initializeParameters } from '../hugging-face/initialize';
import type { TrainEpisode } from './micro-batches';
import { TrainStep, type TrainStepOptions } from './train-step';
import { buildValueGraph, valueParameterCount, valueParameters } from './value-graph';

const engine = createEngine({ threads: 2 });
/** The same engine, with parameters, gradients and moments as tensors of its own. */
const deviceEngine: Engine = {
  ...{ options: engine.options, memory: 'device' },
  compile: (outputs, options) => engine.compile(outputs, options),
  put: (tensor) => engine.put(tensor),
};
const parameters = initializeParameters(tiny, 1);
const noise = (i: number): number => (((i + 1) * 0.6180339887) % 1) - 0.5;

/** Episodes of which the last token decides about the reward. */
function episodesOf(ends: readonly number[]): TrainEpisode[] {
  return ends.map((end, k) => {
    const tokenIds = [1, 2 + (k % 3), 3, 4, end];
    const mask = [0, 0, 1, k % 2, 1];
    return {
      tokenIds,
      mask,
      logprobs: mask.map((m) => -2.4 * m),
      versions: mask.map((m) => m - 1),
      advantage: end === 5 ? 1 : 0,
    };
  });
}
const episodes = episodesOf([5, 6, 7, 5, 6, 5]);

const { loss, critic } = ppo({ critic: { gamma: 0.9, lambda: 0.8 } });
const stepOf = (changes: Partial<TrainStepOptions> = {}): Promise<TrainStep> =>
  TrainStep.create({
    ...{ engine, config: tiny, parameters, loss, critic, temperature: 1 },
    optimizer: {
      ...{ learningRate: 0.02, schedule: 'constant', warmupSteps: 0, totalSteps: 10 },
      ...{ betas: [0.9, 0.95], epsilon: 1e-4, weightDecay: 0, maxGradientNorm: 1 },
    },
    ...{ microBatchTokens: 1000, logitsChunk: 8, recompute: false },
    ...changes,
  });

/** All that training goes on with, its values read. */
async function stored(step: TrainStep) {
  const { firstMoments, secondMoments, critic: values, ...counts } = step.state();
  const state = {
    ...counts,
    firstMoments: await readTensors(firstMoments),
    secondMoments: await readTensors(secondMoments),
    critic: {
      parameters: await readTensors(values!.parameters),
      firstMoments: await readTensors(values!.firstMoments),
      secondMoments: await readTensors(values!.secondMoments),
    },
  };
  return structuredClone({ parameters: await readTensors(step.parameters()), state });
}

describe('buildValueGraph', () => {
  it('has the gradient of the whole loss that finite differences give', () => {
    const values = valueParameters(tiny, parameters);
    expect([...values.keys()]).toEqual(
      [...parameters.keys()].filter((name) => name !== 'lm_head.weight').concat('score.weight'),
    );
    expect(values.get('score.weight')).toEqual({
      shape: [1, tiny.hiddenSize],
      data: new Float32Array(tiny.hiddenSize),
    });
    values.set('score.weight', {
      shape: [1, tiny.hiddenSize],
      data: Float32Array.from({ length: tiny.hiddenSize }, (_, i) => noise(i)),
    });
    expect(valueParameterCount(tiny)).toBe(
      [...values.values()].reduce((sum, { data }) => sum + data.length, 0),
    );
    const graph = buildValueGraph(values, { config: tiny, critic: critic!, recompute: false });
    const tensor = (shape: number[], data: Iterable<number>): Values => ({
      shape,
      data: Float64Array.from(data),
    });
    const feeds: Record<string, Values> = {
      tokens: tensor([1, 4], [1, 2, 3, 4]),
      positions: tensor([1, 4], [0, 1, 2, 3]),
      mask: tensor([1, 4], [0, 1, 0, 1]),
      rowOf: tensor([1], [0]),
      trainedIndex: tensor([1, 4], [2, 0, 2, 1]),
      trainedPositions: tensor([2], [1, 3]),
      returns: tensor([1, 4], [0, 1, 0, -1]),
      // Far enough for no value to be at the edge of the clip.
      oldValues: tensor([1, 4], [0, 9, 0, -9]),
      tokenCount: tensor([], [2]),
      ...Object.fromEntries([...values].map(([name, { shape, data }]) => [name, tensor([...shape], data)])),
    };
    const gradients = evaluate(graph.gradients, feeds);
    for (const name of values.keys()) {
      const { shape, data } = feeds[name]!;
      const direction = data.map((_, i) => noise(i + 3));
      const lossAt = (step: number): number =>
        evaluate(
          { loss: graph.loss },
          { ...feeds, [name]: { shape, data: data.map((x, i) => x + step * direction[i]!) } },
        ).loss.data[0]!;
      const slope = (lossAt(1e-5) - lossAt(-1e-5)) / 2e-5;
      const found = gradients[name]!.data.reduce((sum, g, i) => sum + g * direction[i]!, 0);
      expect(Math.abs(found - slope)).toBeLessThan(1e-7 + 1e-4 * Math.abs(slope));
    }
  });
});

describe.each([
  ['host', engine],
  ['device', deviceEngine],
] as const)('a critic in the memory of the %s', (_, memory) => {
  const here = (changes: Partial<TrainStepOptions> = {}) => stepOf({ engine: memory, ...changes });

  it('gives the policy what generalised advantages of its values are', async () => {
    const whitening: CriticOptions = { ...critic!, whitening: 'none' };
    // Values are 0 before the first update: advantages are discounted rewards.
    const byHand = episodes.map((episode) => {
      const { advantages } = generalizedAdvantage(
        {
          rewards: episode.tokenIds.length === 5 ? [0, 0, 0, 0, episode.advantage as number] : [],
          values: [0, 0, 0, 0, 0],
          mask: episode.mask,
        },
        whitening,
      );
      return { ...episode, advantage: [...advantages] };
    });
    const [learnt, given] = [await here({ critic: whitening }), await here({ critic: null })];
    const [a, b] = [await learnt.step(episodes), await given.step(byHand)];
    expect(a.loss).toBe(b.loss);
    expect(await readTensors(learnt.parameters())).toEqual(await readTensors(given.parameters()));
    const returns = byHand.flatMap(({ advantage, mask }) => advantage.filter((_, t) => mask[t] === 1));
    const half = returns.reduce((sum, one) => sum + one ** 2, 0) / 2 / returns.length;
    expect(a.metrics['critic_loss']).toBeCloseTo(half, 6);
    expect(a.metrics['explained_variance']).toBe(0);
    await Promise.all([learnt.close(), given.close()]);
  });

  it('learns to know the returns', async () => {
    const step = await here({
      critic: { ...critic!, learningRate: 0.02 },
      updatesPerBatch: 2,
      minibatches: 2,
      optimizer: {
        ...{ learningRate: 1e-12, schedule: 'constant', warmupSteps: 0, totalSteps: 10 },
        ...{ betas: [0.9, 0.95], epsilon: 1e-4, weightDecay: 0, maxGradientNorm: 1 },
      },
    });
    const first = await step.step(episodes);
    let last = first;
    for (let i = 0; i < 60; i++) last = await step.step(episodes);
    expect(first.metrics['critic_loss']).toBeGreaterThan(0.1);
    expect(last.metrics['critic_loss']).toBeLessThan(0.05);
    expect(last.metrics['explained_variance']).toBeGreaterThan(0.7);
    await step.close();
  });

  it('goes on from a restored state with the bits of a run without a break', async () => {
    const several = { updatesPerBatch: 2, minibatches: 2, microBatchTokens: 9 };
    const whole = await here(several);
    await whole.step(episodes);
    await whole.step(episodes.slice(1));
    const { parameters: policy, state } = await stored(whole);
    const resumed = await here({ ...several, parameters: initializeParameters(tiny, 2) });
    await resumed.restore(state, policy);
    for (const step of [whole, resumed]) await step.step(episodes);
    expect(await stored(resumed)).toEqual(await stored(whole));
    await Promise.all([whole.close(), resumed.close()]);
  });

  it('is as before when a step is refused', async () => {
    const step = await here({ updatesPerBatch: 3, limits: { maxKl: 1e-9 } });
    const before = await stored(step);
    await expect(step.step(episodes)).rejects.toMatchObject({ code: 'NUMERIC_LIMIT_EXCEEDED' });
    expect(await stored(step)).toEqual(before);
    await step.close();
  });

  it('is named when it is not finite', async () => {
    const step = await here();
    const { state } = await stored(step);
    state.critic.parameters.get('score.weight')!.data[1] = Number.NaN;
    await step.restore(state);
    await expect(step.step(episodes)).rejects.toThrow(
      'train step 0: critic: parameter score.weight is not finite',
    );
    await step.close();
  });
});

describe('a critic', () => {
  it('has a learning rate of its own, on the course of the policy', async () => {
    const moved = async (critic: CriticOptions): Promise<Parameters> => {
      const step = await stepOf({ critic });
      await step.step(episodes, { learningRate: 0.01 });
      const { state } = await stored(step);
      await step.close();
      return state.critic.parameters;
    };
    const [same, tenfold] = [await moved(critic!), await moved({ ...critic!, learningRate: 0.2 })];
    const head = (found: Parameters): number => found.get('score.weight')!.data[0]!;
    expect(head(tenfold) / head(same)).toBeCloseTo(10, 4);
  });

  it('refuses a state without one', async () => {
    const step = await stepOf();
    const { critic, ...state } = (await stored(step)).state;
    expect(critic).toBeDefined();
    await expect(step.restore(state)).rejects.toThrow(
      'critic: parameter model.embed_tokens.weight: expected shape',
    );
    await step.close();
  });
});
