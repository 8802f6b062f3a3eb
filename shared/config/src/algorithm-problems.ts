import type { AlgorithmConfig } from './algorithm';
import { correctionProblems, isWeighting } from './correction';

/** Contradictions in an algorithm's section: the path below it, and what is expected. */
export interface Problem {
  path: (string | number)[];
  message: string;
}

/** Options that exclude each other, each with the way out. */
export function algorithmProblems(config: AlgorithmConfig): Problem[] {
  if (config.name === 'module') return [];
  return [
    ...correctionProblems(config.correction).map(({ path, message }) => ({
      path: ['correction', ...path],
      message,
    })),
    ...weightProblems(config),
    ...divergenceProblems(config),
    ...normalizationProblems(config),
    ...groupProblems(config),
    ...turnProblems(config),
    ...teacherProblems(config),
    ...(config.name === 'maxrl' ? positiveRewardProblems(config) : []),
    ...(config.name === 'grpo' && config.loss === 'simple' ? simpleLossProblems(config) : []),
    ...(config.name === 'cispo' && config.ratioLow >= config.ratioHigh
      ? [{ path: ['ratioLow'], message: `a number < ratioHigh, which is ${config.ratioHigh}` }]
      : []),
    ...(config.entropy.target !== undefined && config.entropy.bonus === 0
      ? [{ path: ['entropy', 'target'], message: 'none without entropy.bonus, which is 0' }]
      : []),
  ];
}

type BuiltIn = Exclude<AlgorithmConfig, { name: 'module' }>;
type Grpo = Extract<AlgorithmConfig, { name: 'grpo' }>;

/** The weight old / behaviour counts once. */
function weightProblems(config: BuiltIn): Problem[] {
  const weighting = config.correction.find(isWeighting)?.name;
  const problems: Problem[] = [];
  if (weighting !== undefined && config.ratioTo === 'behaviour') {
    const message = `old, or left out, with the correction ${weighting}: the ratio would count what that weighs for again`;
    problems.push({ path: ['ratioTo'], message });
  }
  if (weighting !== undefined && config.name === 'decoupled-ppo') {
    const message = `no ${weighting} with decoupled-ppo, which weighs by proximal / behaviour itself; the masks go with it`;
    problems.push({ path: ['correction'], message });
  }
  if (config.name !== 'grpo' || config.truncatedImportanceSampling === undefined) return problems;
  if (weighting !== undefined) {
    const message = `none beside the correction ${weighting}: it is short for { name: tis }`;
    problems.push({ path: ['truncatedImportanceSampling'], message });
  }
  if (config.ratioTo === 'behaviour') {
    const message = 'old, or left out, with truncatedImportanceSampling';
    problems.push({ path: ['ratioTo'], message });
  }
  return problems;
}

/** Algorithms whose baseline is not the group's. */
const WITHOUT_GROUP: readonly AlgorithmConfig['name'][] = ['opd', 'ppo', 'reinforce++', 'remax'];

function groupProblems({ name, groupSize }: BuiltIn): Problem[] {
  if (groupSize > 1 || WITHOUT_GROUP.includes(name)) return [];
  const message = `a number >= 2 with ${name}, which compares the answers to one prompt: alone, each is worth 0; ${WITHOUT_GROUP.join(', ')} take 1`;
  return [{ path: ['groupSize'], message }];
}

/** Algorithms that compare what the turns of a group brought, each turn with one advantage. */
const BY_TURN: readonly AlgorithmConfig['name'][] = [
  ...(['grpo', 'dr-grpo', 'reinforce', 'reinforce++-baseline', 'dapo', 'gspo', 'luspo', 'cispo'] as const),
  ...(['sapo', 'dppo', 'vespo', 'dro', 'decoupled-ppo'] as const),
];

/** Reasons why the others can't; the baseline of most is of another sort. */
const NOT_BY_TURN: Partial<Record<AlgorithmConfig['name'], string>> = {
  ppo: 'whose value model gives credit by token',
  'reinforce++': "whose baseline is the batch's",
  remax: 'whose baseline is the reward of a whole greedy rollout',
  rloo: 'whose baseline leaves one rollout out, not one turn',
  maxrl: 'which takes the success of a whole rollout',
  opd: 'whose teacher gives credit by token',
  gdpo: 'which compares each reward function by rollout',
  opo: 'which weighs whole rollouts by their lengths',
  'pass-at-k': 'which learns from the best rollout alone',
  gmpo: 'whose loss has one advantage for a sequence',
};

/** Divergence over several tokens of a place looks at no other place. */
function teacherProblems(config: BuiltIn): Problem[] {
  if (config.name !== 'opd') return [];
  if (config.teacherTop === 0) {
    const message = 'reverse, or left out, without teacherTop';
    return config.teacherDivergence === 'reverse' ? [] : [{ path: ['teacherDivergence'], message }];
  }
  const message = '0 with teacherTop, which compares each place for itself';
  return config.teacherDiscount === 0 ? [] : [{ path: ['teacherDiscount'], message }];
}

function turnProblems({ name, turnDiscount }: BuiltIn): Problem[] {
  if (turnDiscount === undefined || BY_TURN.includes(name)) return [];
  const message = `none with ${name}, ${NOT_BY_TURN[name]}; ${BY_TURN.join(', ')} take it`;
  return [{ path: ['turnDiscount'], message }];
}

/** MaxRL divides by the mean reward of a group, which must not be negative. */
function positiveRewardProblems({ shaping, klIn, klCoefficient }: BuiltIn): Problem[] {
  const given = {
    'shaping.overlong': shaping.overlong !== undefined && shaping.overlong.factor > 0,
    'shaping.length': shaping.length !== undefined,
    'shaping.normalizeComponents': shaping.normalizeComponents,
    klIn: klIn === 'reward' && klCoefficient > 0,
  };
  const message = 'none with maxrl, which takes rewards from 0 to 1 and divides by their mean';
  return Object.entries(given)
    .filter(([, isGiven]) => isGiven)
    .map(([field]) => ({ path: field.split('.'), message }));
}

function divergenceProblems({ klIn, klEstimator, klWeighted }: BuiltIn): Problem[] {
  if (klIn === 'loss') return [];
  return [
    ...(klEstimator === 'k3+'
      ? [
          {
            path: ['klEstimator'],
            message: 'k1, k2 or k3 with klIn: reward: k3+ differs from k3 by its gradient alone',
          },
        ]
      : []),
    ...(klWeighted
      ? [{ path: ['klWeighted'], message: 'false with klIn: reward: rewards are not multiplied by ratios' }]
      : []),
  ];
}

function normalizationProblems(config: BuiltIn): Problem[] {
  if (!('normalization' in config)) return [];
  if (config.normalization === 'constant' || config.normalizationTokens === undefined) return [];
  const message = `none with normalization: ${config.normalization}, which counts tokens itself`;
  return [{ path: ['normalizationTokens'], message }];
}

/** torchforge's loss has neither clip nor weights: an option of theirs would do nothing. */
function simpleLossProblems(config: Grpo): Problem[] {
  const given = {
    clipEpsilon: config.clipEpsilon !== 0.2,
    clipEpsilonHigh: config.clipEpsilonHigh !== undefined,
    dualClip: config.dualClip !== undefined,
    truncatedImportanceSampling: config.truncatedImportanceSampling !== undefined,
    correction: config.correction.length > 0,
    ratioTo: config.ratioTo !== undefined,
    klEstimator: config.klEstimator !== 'k3',
    klClamp: config.klClamp !== undefined,
    klIn: config.klIn !== 'loss',
    klWeighted: config.klWeighted,
    entropy: config.entropy.bonus > 0 || config.entropy.topShare !== undefined,
    normalization: ['constant', 'rollout'].includes(config.normalization),
  };
  return Object.entries(given)
    .filter(([, isGiven]) => isGiven)
    .map(([field]) => ({ path: [field], message: 'none with loss: simple, which has no such part' }));
}
