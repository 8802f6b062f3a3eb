import { ALGORITHM_NAMES, algorithmSchema, parseConfig, type AlgorithmInput } from '@forge/config';
import { samplingSchema } from '@forge/contracts';
import { createEngine } from '@forge/engine';
import {
  Generator,
  initializeParameters,
  LogprobScorer,
  TrainStep,
  type ModelConfig,
  type TrainEpisode,
} from '@forge/model';
import { loadAlgorithm } from '@forge/recipe-parts';
import { withReference, type Algorithm, type PolicyHandle, type RewardHandle } from '@forge/rl';
import type { Parameters } from '@forge/weights';

const config: ModelConfig = {
  architecture: 'llama',
  hiddenSize: 16,
  layers: 1,
  heads: 2,
  kvHeads: 2,
  headDim: 8,
  intermediateSize: 32,
  vocabSize: 11,
  maxPositions: 16,
  rmsNormEpsilon: 1e-5,
  rope: { theta: 100, scaling: { type: 'none' } },
  tieWordEmbeddings: true,
  attentionBias: false,
  attentionOutputBias: false,
  mlpBias: false,
  qkNorm: false,
  initializerRange: 0.1,
};
const optimizer = {
  learningRate: 0.01,
  schedule: 'constant',
  warmupSteps: 0,
  totalSteps: 100,
  betas: [0.9, 0.95],
  epsilon: 1e-8,
  weightDecay: 0,
  maxGradientNorm: 1,
} as const;
const [PROMPTS, GROUP, STEPS] = [6, 8, 15];
const engine = createEngine({ threads: 1 });

/** Whether an answer that begins with this token is right. */
type Rule = (token: number) => boolean;
/** A little more than half of the answers at random. */
const isEven: Rule = (token) => token % 2 === 0;
/** Two of eleven, so that most groups have one right answer or none. */
const isRare: Rule = (token) => token < 2;

const rewardOf = (isRight: Rule): RewardHandle => ({
  score: (_sample, { tokenIds }) => {
    const exact = Number(isRight(tokenIds[0]!));
    return Promise.resolve({ reward: exact, rewards: { exact, second: Number(tokenIds[1]! < 5) } });
  },
});

/** The log-probs of given sequences under a model that knows the rule. */
type Teacher = Pick<LogprobScorer, 'judge'>;

/** The worth of the episodes of a batch, as the replay buffer finds it. */
async function batchOf(
  algorithm: Algorithm,
  policy: (prompt: number) => Pick<PolicyHandle, 'generate'>,
  reward: RewardHandle,
  teacher: Teacher | undefined,
): Promise<TrainEpisode[]> {
  const groups = await Promise.all(
    Array.from({ length: PROMPTS }, async (_, prompt) => {
      const sample = { id: `s${prompt}`, prompt: String(prompt) };
      const made = await algorithm.rollout({
        sample,
        policy: policy(prompt) as PolicyHandle,
        reward,
        groupSize: GROUP,
      });
      const seen = await teacher?.judge(made.map(({ tokenIds }) => tokenIds));
      const episodes = seen === undefined ? made : withReference(made, seen);
      const rewards = algorithm.shape(episodes);
      const advantages = algorithm.advantage(rewards, episodes);
      const tokens = episodes.map(({ mask }) => mask.filter((chosen) => chosen === 1).length);
      return { episodes, rewards, advantages, tokens };
    }),
  );
  const worths = algorithm.acrossBatch(groups);
  return groups.flatMap(({ episodes }, g) =>
    episodes.map((episode, k) => ({ ...episode, advantage: worths[g]![k]! })),
  );
}

/** The same with a behaviour log-prob that is no number: no loss may hide it. */
const withNaN = ([first, ...rest]: readonly TrainEpisode[]): TrainEpisode[] => [
  { ...first!, logprobs: Array.from(first!.logprobs, (value, t) => (first!.mask[t] === 1 ? NaN : value)) },
  ...rest,
];

interface Lesson {
  isRight?: Rule;
  teacher?: Teacher;
  reward?: RewardHandle;
}

/** The share of right answers at each step, of a model that `algorithm` teaches. */
async function learn(input: AlgorithmInput, lesson: Lesson = {}): Promise<number[]> {
  return (await trained(input, lesson)).shares;
}

/** The same, with what the model has become. */
async function trained(
  input: AlgorithmInput,
  { isRight = isEven, teacher, reward = rewardOf(isRight) }: Lesson,
): Promise<{ shares: number[]; parameters: Parameters }> {
  const section = parseConfig(algorithmSchema, input, 'the test');
  const algorithm = await loadAlgorithm({ algorithm: section });
  const parameters = initializeParameters(config, 3);
  const generator = await Generator.create({
    ...{ engine, config, parameters, version: 0, endTokenIds: [], maxBatch: 64, chunk: 3 },
    weightMode: 'inputs',
    decodeText: (ids) => ids.join(' '),
  });
  const trainer = await TrainStep.create({
    ...{ engine, config, parameters, loss: algorithm.loss, critic: algorithm.critic },
    referenceTop: algorithm.referenceTop,
    ...{ optimizer, temperature: 1 },
    ...{ updatesPerBatch: section.updatesPerBatch, minibatches: section.minibatches },
    ...{ microBatchTokens: 1_000, logitsChunk: 64, recompute: false },
  });
  const shares: number[] = [];
  let last: TrainEpisode[] = [];
  for (let step = 0; step < STEPS; step++) {
    let asked = 0;
    const policy = (prompt: number): Pick<PolicyHandle, 'generate'> => ({
      generate: (_prompt, { n = 1, ...sampling } = {}) => {
        const call = asked++;
        return generator.generate({
          rolloutIds: Array.from({ length: n }, (_, i) => `${step}-${prompt}-${call}-${i}`),
          promptTokenIds: [prompt, 10],
          seed: 1,
          sampling: samplingSchema.parse({ maxTokens: 3, ...sampling }),
        });
      },
    });
    const episodes = (last = await batchOf(algorithm, policy, reward, teacher));
    shares.push(mean(episodes.map(({ tokenIds }) => Number(isRight(tokenIds[2]!)))));
    const { metrics, gradientNorm } = await trainer.step(episodes);
    expect([gradientNorm, ...Object.values(metrics)].every(Number.isFinite)).toBe(true);
    await generator.applyWeights(step + 1, copyOf(trainer.parameters() as Parameters));
  }
  const taught = copyOf(trainer.parameters() as Parameters);
  await expect(trainer.step(withNaN(last))).rejects.toMatchObject({ code: 'NUMERIC_NON_FINITE' });
  await Promise.all([generator.close(), trainer.close()]);
  return { shares, parameters: taught };
}

const copyOf = (parameters: Parameters): Parameters =>
  new Map([...parameters].map(([name, { shape, data }]) => [name, { shape, data: data.slice() }]));
const mean = (values: readonly number[]): number => values.reduce((a, b) => a + b, 0) / values.length;

describe('every algorithm of the catalogue, from its name in a recipe', () => {
  it.each(ALGORITHM_NAMES.filter((name) => name !== 'opd'))(
    '%s teaches a small model in a few steps',
    async (name) => {
      const constants = name === 'dr-grpo' ? { normalizationTokens: 3 } : {};
      // Pass@k learns from groups whose best answer is alone.
      const rule = name === 'pass-at-k' ? isRare : isEven;
      const shares = await learn({ name, ...constants } as AlgorithmInput, { isRight: rule });
      expect(mean(shares.slice(0, 2))).toBeLessThan(0.75);
      expect(mean(shares.slice(-3))).toBeGreaterThan(mean(shares.slice(0, 2)) + 0.15);
    },
  );

  it.each([
    ['', {}],
    [' by its three likeliest tokens', { teacherTop: 3 }],
    [' by all tokens, the other way round', { teacherTop: 11, teacherDivergence: 'forward' }],
  ] as const)('opd teaches it what a trained model knows, without any reward%s', async (_, given) => {
    const { shares: learned, parameters } = await trained({ name: 'grpo' }, {});
    const top = 'teacherTop' in given ? given.teacherTop : 0;
    const options = { engine, config, parameters, maxBatchTokens: 1_000, top };
    const reward = { score: () => Promise.resolve({ reward: 0, rewards: { exact: 0 } }) };
    const scorer = await LogprobScorer.create(options);
    const shares = await learn({ name: 'opd', ...given }, { teacher: scorer, reward });
    await scorer.release();
    const [before, after] = [mean(shares.slice(0, 2)), mean(shares.slice(-3))];
    expect(before).toBeLessThan(0.75);
    expect(after).toBeGreaterThan(before + 0.15);
    expect(after).toBeGreaterThan(mean(learned.slice(-3)) - 0.15);
  });

  it.each(['tis', 'icepop', 'sequence-mask', 'geometric-mask', 'outlier', 'opsm'] as const)(
    'grpo teaches it with the correction %s',
    async (correction) => {
      const shares = await learn({ name: 'grpo', correction: { name: correction } } as AlgorithmInput);
      expect(mean(shares.slice(-3))).toBeGreaterThan(mean(shares.slice(0, 2)) + 0.15);
    },
  );

  it.each(['grpo', 'decoupled-ppo', 'gspo', 'cispo', 'vespo'] as const)(
    '%s teaches it by two minibatches of each batch',
    async (name) => {
      const shares = await learn({ name, minibatches: 2 });
      expect(mean(shares.slice(-3))).toBeGreaterThan(mean(shares.slice(0, 2)) + 0.15);
    },
  );

  it('grpo keeps its entropy up by a bonus, whose gradient reaches the model', async () => {
    const [plain, kept] = await Promise.all([
      learn({ name: 'grpo' }),
      learn({ name: 'grpo', entropy: { bonus: 5 } }),
    ]);
    expect(mean(kept.slice(-3))).toBeLessThan(mean(plain.slice(-3)) - 0.1);
  });
});
