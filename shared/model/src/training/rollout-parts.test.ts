import fc from 'fast-check';
import { createEngine } from '@forge/engine';
import { grpo, ppo, type Algorithm } from '@forge/rl';
import { readTensors, type Parameters } from '@forge/weights';
import { tiny } from '../generation/generator.fixture';
import { initializeParameters } from '../hugging-face/initialize';
import type { TrainEpisode } from './micro-batches';
import { TrainStep } from './train-step';

const engine = createEngine({ threads: 1 });
const parameters = initializeParameters(tiny, 1);

/** Tokens of a rollout, which of them the policy chose, and after how many of these it is cut. */
interface Rollout {
  tokenIds: number[];
  mask: number[];
  cuts: number[];
  advantage: number;
}
const tokens = fc.integer({ min: 4, max: 9 });
const rollout: fc.Arbitrary<Rollout> = tokens.chain((length) =>
  fc.record({
    tokenIds: fc.array(fc.integer({ min: 0, max: 10 }), { minLength: length, maxLength: length }),
    mask: fc
      .array(fc.constantFrom(0, 1, 1), { minLength: length - 2, maxLength: length - 2 })
      .map((rest) => [0, 1, ...rest]),
    cuts: fc.uniqueArray(fc.integer({ min: 1, max: length - 1 }), { maxLength: 2 }),
    advantage: fc.double({ min: -2, max: 2, noNaN: true }).filter((value) => Math.abs(value) > 0.1),
  }),
);
const batches = fc.array(rollout, { minLength: 2, maxLength: 4 });

/** Log-probs that are about the policy's, each for its place. */
const behaviour = (t: number): number => -2.2 - 0.3 * Math.sin(t + 1);

/** One episode for each part of a rollout: its own tokens are chosen, all before them are context. */
function partsOf({ tokenIds, mask, cuts, advantage }: Rollout, rolloutIndex: number): TrainEpisode[] {
  const ends = [...cuts, tokenIds.length].sort((a, b) => a - b);
  return ends.flatMap((end, i) => {
    const start = ends[i - 1] ?? 0;
    const own = mask.slice(0, end).map((chosen, t) => (t >= start ? chosen : 0));
    if (!own.includes(1)) return [];
    return [
      {
        tokenIds: tokenIds.slice(0, end),
        mask: own,
        logprobs: own.map((chosen, t) => (chosen === 1 ? behaviour(t) : 0)),
        versions: own.map((chosen) => chosen - 1),
        advantage,
        rollout: rolloutIndex,
      },
    ];
  });
}

interface Settings {
  microBatchTokens?: number;
  minibatches?: number;
}

async function stepOf({ loss, critic }: Algorithm, settings: Settings = {}): Promise<TrainStep> {
  return TrainStep.create({
    ...{ engine, config: tiny, parameters, loss, critic, temperature: 1 },
    optimizer: {
      ...{ learningRate: 0.02, schedule: 'constant', warmupSteps: 0, totalSteps: 10 },
      // Far above the default, so that an update is a smooth function of the gradient.
      ...{ betas: [0.9, 0.95], epsilon: 1e-2, weightDecay: 0, maxGradientNorm: 1 },
    },
    ...{ microBatchTokens: 1000, logitsChunk: 8, recompute: false },
    ...settings,
  });
}

/** A step from the start, and the parameters after it. */
async function trained(step: TrainStep, episodes: readonly TrainEpisode[], start: Start) {
  await step.restore(start.state, parameters);
  const { loss, gradientNorm, metrics } = await step.step(episodes);
  return { loss, gradientNorm, metrics, after: await readTensors(step.parameters()) };
}

type Start = Awaited<ReturnType<typeof startOf>>;

async function startOf(step: TrainStep) {
  const { firstMoments, secondMoments, critic, ...counts } = step.state();
  const read = async (tensors: typeof firstMoments) => structuredClone(await readTensors(tensors));
  const state = {
    ...counts,
    firstMoments: await read(firstMoments),
    secondMoments: await read(secondMoments),
    ...(critic !== undefined && {
      critic: {
        parameters: await read(critic.parameters),
        firstMoments: await read(critic.firstMoments),
        secondMoments: await read(critic.secondMoments),
      },
    }),
  };
  return { state };
}

function largestDifference(a: Parameters, b: Parameters): number {
  let largest = 0;
  for (const [name, { data }] of a)
    data.forEach((value, i) => {
      largest = Math.max(largest, Math.abs(value - b.get(name)!.data[i]!));
    });
  return largest;
}

describe.each<[string, Algorithm]>([
  ['grpo by rollouts', grpo({ normalization: 'rollout' })],
  ['grpo by rollouts, with an entropy bonus', grpo({ normalization: 'rollout', entropy: { bonus: 0.1 } })],
  [
    'ppo by rollouts',
    ppo({ normalization: 'rollout', critic: { gamma: 0.9, lambda: 0.7, whitening: 'none' } }),
  ],
])('%s', (_, algorithm) => {
  it('takes the same step on a rollout in parts as on one that is whole, in any micro-batches', async () => {
    const [step, small] = [await stepOf(algorithm), await stepOf(algorithm, { microBatchTokens: 9 })];
    const start = await startOf(step);
    await fc.assert(
      fc.asyncProperty(batches, async (rollouts) => {
        const cut = rollouts.flatMap(partsOf);
        const whole = rollouts.flatMap((one, i) => partsOf({ ...one, cuts: [] }, i));
        const expected = await trained(step, whole, start);
        for (const found of [await trained(step, cut, start), await trained(small, cut, start)]) {
          expect(found.loss).toBeCloseTo(expected.loss, 5);
          expect(found.gradientNorm).toBeCloseTo(expected.gradientNorm, 4);
          for (const [name, value] of Object.entries(expected.metrics))
            expect(found.metrics[name]).toBeCloseTo(value, 4);
          expect(largestDifference(found.after, expected.after)).toBeLessThan(1e-5);
        }
      }),
      { numRuns: 6, seed: 4 },
    );
    await Promise.all([step.close(), small.close()]);
  });
});

describe('normalization by sequences', () => {
  it('weighs a rollout in parts more than one that is whole', async () => {
    const step = await stepOf(grpo({ normalization: 'sequence' }));
    const start = await startOf(step);
    const rollouts: Rollout[] = [
      { tokenIds: [1, 2, 3, 4, 5, 6], mask: [0, 1, 1, 1, 1, 1], cuts: [3, 4], advantage: 1 },
      { tokenIds: [1, 7, 8, 2, 9, 3], mask: [0, 1, 1, 1, 1, 1], cuts: [], advantage: -1 },
    ];
    const whole = await trained(
      step,
      rollouts.flatMap((one, i) => partsOf({ ...one, cuts: [] }, i)),
      start,
    );
    const cut = await trained(step, rollouts.flatMap(partsOf), start);
    expect(Math.abs(cut.loss - whole.loss)).toBeGreaterThan(0.1);
    await step.close();
  });
});

describe('minibatches', () => {
  it('keep the parts of a rollout together', async () => {
    const step = await stepOf(grpo({ normalization: 'rollout' }), { minibatches: 2 });
    const start = await startOf(step);
    const rollouts: Rollout[] = [
      { tokenIds: [1, 2, 3, 4, 5, 6], mask: [0, 1, 1, 1, 1, 1], cuts: [3, 4], advantage: 1 },
      { tokenIds: [1, 7, 8, 2, 9, 3], mask: [0, 1, 1, 1, 1, 1], cuts: [], advantage: -1 },
    ];
    const whole = await trained(
      step,
      rollouts.flatMap((one, i) => partsOf({ ...one, cuts: [] }, i)),
      start,
    );
    const cut = await trained(step, rollouts.flatMap(partsOf), start);
    expect(largestDifference(cut.after, whole.after)).toBeLessThan(1e-5);
    await step.close();
  });
});
