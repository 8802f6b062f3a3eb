import { algorithmSchema, parseConfig, type AlgorithmInput } from '@forge/config';
import { createEngine } from '@forge/engine';
import { loadModel, TrainStep, type LoadedModel, type TrainEpisode } from '@forge/model';
import { loadAlgorithm } from '@forge/recipe-parts';

/** Steps of our trainer that the one in PyTorch must take alike: the same episodes, by every algorithm and option. */
export interface GoldenSteps {
  trainer: object;
  temperature: number;
  version: number;
  episodes: GoldenEpisode[];
  cases: GoldenCase[];
}

export interface GoldenCase {
  algorithm: AlgorithmInput;
  /** Two steps, so that the second sees what the first made of the parameters. */
  steps: { loss: number; gradientNorm: number; metrics: Record<string, number> }[];
}

type GoldenEpisode = { [Field in keyof TrainEpisode]: number | number[] };

const TEMPERATURE = 3;
const VERSION = 3;
const OPTIMIZER = {
  learningRate: 1e-3,
  schedule: 'linear',
  warmupSteps: 0,
  betas: [0.9, 0.95],
  epsilon: 1e-2,
  weightDecay: 0.01,
  maxGradientNorm: 0.5,
} as const;
const STEPS = 50;

const shaped = { normalization: 'constant', normalizationTokens: 7 } as const;
const reference = { klCoefficient: 0.2 } as const;
/** Every algorithm as it is, and every option of losses once. */
export const ALGORITHMS: readonly AlgorithmInput[] = [
  ...(['grpo', 'rloo', 'maxrl', 'reinforce++', 'reinforce++-baseline', 'remax', 'opo', 'gdpo'] as const).map(
    (name) => ({ name }),
  ),
  ...(['pass-at-k', 'dapo', 'gspo', 'luspo', 'cispo', 'sapo', 'gmpo', 'dppo', 'vespo', 'dro'] as const).map(
    (name) => ({ name }),
  ),
  { name: 'decoupled-ppo' },
  { name: 'decoupled-ppo', proximal: 'log-linear', weightBound: 1.1 },
  { name: 'reinforce' },
  { name: 'opd' },
  { name: 'dr-grpo', normalizationTokens: 9 },
  { name: 'grpo', loss: 'simple', klCoefficient: 0.1 },
  { name: 'grpo', ...shaped, dualClip: 1.5, clipEpsilon: 0.05, clipEpsilonHigh: 0.1 },
  { name: 'grpo', normalization: 'sequence', ...reference, klEstimator: 'k1' },
  { name: 'grpo', normalization: 'rollout', ...reference, klEstimator: 'k2', klWeighted: true },
  { name: 'grpo', ...reference, klEstimator: 'k3', klClamp: 0.02 },
  { name: 'grpo', ...reference, klEstimator: 'k3+' },
  { name: 'grpo', ...reference, klIn: 'reward' },
  { name: 'grpo', truncatedImportanceSampling: 1.1 },
  { name: 'grpo', ratioTo: 'old', correction: { name: 'tis', level: 'sequence', bound: 1.2 } },
  { name: 'grpo', correction: { name: 'icepop', low: 0.9, high: 1.2 } },
  {
    name: 'grpo',
    correction: [
      { name: 'sequence-mask', low: 0.8, high: 1.5 },
      { name: 'opsm', threshold: 0.01 },
    ],
  },
  { name: 'gspo', correction: { name: 'geometric-mask', low: 0.97, high: 1.05 } },
  { name: 'cispo', ratioLow: 0.9, ratioHigh: 1.1, correction: { name: 'outlier', low: 0.8, high: 1.3 } },
  { name: 'grpo', entropy: { bonus: 0.3 } },
  { name: 'grpo', entropy: { bonus: 0.3, target: 0.5 } },
  { name: 'grpo', entropy: { topShare: 0.4 } },
  { name: 'dppo', divergence: 'kl', threshold: 0.001, squaredPenalty: 0.5 },
  { name: 'sapo', positiveTemperature: 0.7, negativeTemperature: 2 },
].map((algorithm) => algorithm as AlgorithmInput);

/** The steps of our trainer on a model, algorithm by algorithm. */
export class GoldenTrainer {
  private readonly engine = createEngine({ threads: 1 });

  private constructor(private readonly model: Pick<LoadedModel, 'config' | 'parameters'>) {}

  static async open(directory: string): Promise<GoldenTrainer> {
    return new GoldenTrainer(await loadModel(directory));
  }

  async episodes(): Promise<GoldenEpisode[]> {
    const step = await this.create({ name: 'grpo' });
    const episodes: GoldenEpisode[] = [];
    for (const i of Array(7).keys()) episodes.push(await episode(step, i));
    await step.close();
    return episodes;
  }

  async case(algorithm: AlgorithmInput, episodes: readonly GoldenEpisode[]): Promise<GoldenCase> {
    const step = await this.create(algorithm);
    // The version is the number of steps.
    const { firstMoments, secondMoments } = step.state();
    await step.restore({ step: VERSION, firstMoments, secondMoments });
    const steps = [];
    for (let n = 0; n < 2; n++) {
      const { loss, gradientNorm, metrics } = await step.step(episodes as unknown as TrainEpisode[]);
      steps.push({ loss, gradientNorm, metrics });
    }
    await step.close();
    return { algorithm, steps };
  }

  private async create(algorithm: AlgorithmInput): Promise<TrainStep> {
    const { loss } = await loadAlgorithm({ algorithm: parseConfig(algorithmSchema, algorithm, 'algorithm') });
    return TrainStep.create({
      ...this.model,
      ...{ engine: this.engine, loss, temperature: TEMPERATURE, logitsChunk: 64, recompute: false },
      microBatchTokens: 40,
      optimizer: { ...OPTIMIZER, totalSteps: STEPS },
    });
  }
}

/** All that the trainer in PyTorch is compared with, as a file keeps it. */
export async function goldenSteps(trainer: GoldenTrainer): Promise<GoldenSteps> {
  const episodes = await trainer.episodes();
  const cases: GoldenCase[] = [];
  for (const algorithm of ALGORITHMS) cases.push(await trainer.case(algorithm, episodes));
  return {
    trainer: { ...OPTIMIZER, steps: STEPS },
    temperature: TEMPERATURE,
    version: VERSION,
    episodes,
    cases,
  };
}

/** Numbers from 0 to 1 that are the same everywhere. */
function drawn(i: number, t: number): number {
  const x = Math.sin(12.9898 * i + 78.233 * t + 1) * 43_758.5453;
  return x - Math.floor(x);
}

/** An episode near to what the policy thinks, of tokens up to three versions old; the last two are parts of one rollout. */
async function episode(step: TrainStep, i: number): Promise<GoldenEpisode> {
  const [prompt, length] = [3 + (i % 2), 9 + ((i * 5) % 7)];
  // The first two are alike, and share a row.
  const like = i === 1 ? 0 : i;
  const size = i === 1 ? 9 : length;
  const tokenIds = Array.from({ length: size }, (_, t) => 2 + Math.floor(16 * drawn(like, t)));
  const mask = tokenIds.map((_, t) => Number(t >= (i === 1 ? 3 : prompt) && t !== 6));
  const exact = await step.logprobs(tokenIds);
  const near = (t: number, seed: number): number =>
    mask[t] === 0 ? 0 : Math.fround(Math.min(0, exact[t - 1]! + 0.4 * (drawn(i + seed, t) - 0.5)));
  const sign = i % 3 === 0 ? -1 : 1;
  return {
    tokenIds,
    mask,
    logprobs: tokenIds.map((_, t) => near(t, 20)),
    referenceLogprobs: tokenIds.map((_, t) => near(t, 40)),
    versions: tokenIds.map((_, t) => (mask[t] === 0 ? -1 : VERSION - ((i + t) % 4))),
    advantage:
      i === 2 ? tokenIds.map((_, t) => Math.fround(drawn(60, t) - 0.4)) : Math.fround(sign * (0.4 + 0.2 * i)),
    rollout: Math.min(i, 5),
  };
}
