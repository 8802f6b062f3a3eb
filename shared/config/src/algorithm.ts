import { z } from 'zod';
import {
  bestOfGroupFields,
  clipFields,
  groupFields,
  normalizationFields,
  policyFields,
  updateFields,
  whitenFields,
  type NormalizationName,
} from './algorithm-fields';
import { algorithmProblems } from './algorithm-problems';
import { criticFields } from './critic';
import { named, userModule } from './sections';

/** A built-in algorithm: its own keys beside those all have. */
function builtIn<Name extends string, Own extends z.core.$ZodLooseShape>(
  name: Name,
  normalization: NormalizationName,
  own: Own,
) {
  return z.strictObject({
    name: z.literal(name),
    ...policyFields(),
    ...normalizationFields(normalization),
    ...own,
  });
}

/** The same where the mean is a part of the algorithm. */
function ofSequences<Name extends string, Own extends z.core.$ZodLooseShape>(name: Name, own: Own) {
  return z.strictObject({ name: z.literal(name), ...policyFields(), ...own });
}

const temperature = (fallback: number) => z.number().gt(0).max(100).default(fallback);
const positive = (fallback: number) => z.number().gt(0).max(100).default(fallback);

const grpo = builtIn('grpo', 'token', {
  ...groupFields,
  ...clipFields(),
  loss: z
    .enum(['clipped', 'simple'])
    .default('clipped')
    .describe("clipped ratio to the behaviour policy, or torchforge's SimpleGRPOLoss exactly"),
  truncatedImportanceSampling: z
    .number()
    .min(1)
    .optional()
    .describe('short for the correction `{ name: tis, bound: ... }`; left out: none'),
});

const reinforce = builtIn('reinforce', 'token', groupFields);

const ownModule = z.strictObject({ name: z.literal('module'), ...userModule, ...updateFields });

const algorithm = z.discriminatedUnion('name', [
  grpo,
  builtIn('dr-grpo', 'constant', clipFields()),
  builtIn('rloo', 'token', clipFields()),
  builtIn('maxrl', 'token', clipFields()),
  builtIn('reinforce++', 'token', { ...clipFields(), ...whitenFields }),
  builtIn('reinforce++-baseline', 'token', { ...clipFields(), ...whitenFields }),
  builtIn('remax', 'token', clipFields()),
  builtIn('opo', 'token', clipFields()),
  builtIn('opd', 'token', {
    ...clipFields(),
    teacherCoefficient: z
      .number()
      .gt(0)
      .max(100)
      .default(1)
      .describe('weight of log teacher - log policy of a token in its advantage, beside the rewards'),
    teacherDiscount: z
      .number()
      .min(0)
      .max(1)
      .default(0)
      .describe('how much a token counts for what the teacher says of the one behind it'),
    teacherTop: z
      .int()
      .min(0)
      .max(1_024)
      .default(0)
      .describe(
        "likeliest tokens of the teacher that are compared in each place, all others counting as one: the divergence joins the loss, in place of the drawn token's advantage; 0: the drawn token alone",
      ),
    teacherDivergence: z
      .enum(['reverse', 'forward', 'mixed'])
      .default('reverse')
      .describe('with teacherTop: KL(policy || teacher), KL(teacher || policy), or their mean'),
  }),
  builtIn('gdpo', 'token', {
    ...clipFields(),
    ...whitenFields,
    weights: z
      .record(z.string(), z.number())
      .optional()
      .describe("factor of each reward function's advantage; left out: the weights of `rewards`"),
  }),
  builtIn('pass-at-k', 'token', { ...clipFields(), ...bestOfGroupFields }),
  builtIn('dapo', 'token', {
    ...policyFields({ punishesOverlong: true }),
    ...groupFields,
    ...clipFields(0.2, 0.28),
  }),
  builtIn('gspo', 'sequence', { ...groupFields, ...clipFields(3e-4, 4e-4) }),
  ofSequences('luspo', { ...groupFields, ...clipFields(2e-3, 2.5e-3) }),
  builtIn('cispo', 'token', {
    ...groupFields,
    ratioLow: z.number().min(0).default(0).describe('least weight of a token, as a ratio'),
    ratioHigh: z
      .number()
      .gt(0)
      .default(5)
      .describe('largest weight of a token: 5 as TRL advises, Tinker has 4; a ratio, not a distance from 1'),
  }),
  builtIn('sapo', 'sequence', {
    ...groupFields,
    positiveTemperature: temperature(1).describe('how fast the gate closes for good tokens'),
    negativeTemperature: temperature(1.05).describe('how fast it closes for the others'),
  }),
  ofSequences('gmpo', {
    ...groupFields,
    clipLogRatio: z.number().gt(0).max(10).default(0.4).describe('largest log-ratio of a token, up or down'),
  }),
  builtIn('dppo', 'token', {
    ...groupFields,
    divergence: z
      .enum(['tv', 'kl'])
      .default('tv')
      .describe("distance of a token's probabilities: their difference, or the divergence of two coins"),
    threshold: z
      .number()
      .gt(0)
      .max(10)
      .optional()
      .describe(
        'a token that moved farther, and towards its advantage, is left out; left out: 0.2 for tv, 0.05 for kl',
      ),
    ratioBound: z.number().min(1).default(20).describe('largest ratio as a weight'),
    squaredPenalty: z
      .number()
      .min(0)
      .default(0)
      .describe('weight of the squared log-ratio of all tokens; prime-rl has 1e-3'),
  }),
  builtIn('vespo', 'token', {
    ...groupFields,
    positiveK: positive(2).describe(
      'the weight of a good sequence of ratio w is exp(lambda + k ln w - lambda w)',
    ),
    positiveLambda: positive(3).describe('lambda of good sequences'),
    negativeK: positive(3).describe('k of the others'),
    negativeLambda: positive(2).describe('lambda of the others'),
  }),
  builtIn('dro', 'token', {
    ...groupFields,
    beta: z
      .number()
      .gt(0)
      .default(0.05)
      .describe('weight of the squared log-ratio, over 2; the default is ours'),
  }),
  builtIn('decoupled-ppo', 'token', {
    ...groupFields,
    ...clipFields(),
    proximal: z
      .enum(['recomputed', 'log-linear'])
      .default('recomputed')
      .describe(
        'the policy clipped around: the one before the step, or one between behaviour and policy by their versions',
      ),
    weightBound: z.number().min(1).default(5).describe('largest weight proximal / behaviour; 5 as in AReaL'),
  }),
  builtIn('ppo', 'token', { ...clipFields(), ...criticFields }),
  reinforce,
  ownModule,
]);

/** The objective, and how it is maximised; `{ module: ./mine.ts }` is an algorithm of the user's own. */
export const algorithmSchema = named(
  algorithm.superRefine((config, context) => {
    for (const problem of algorithmProblems(config)) context.addIssue({ code: 'custom', ...problem });
  }),
).describe('the learning algorithm');

export type AlgorithmConfig = z.output<typeof algorithm>;
/** The same with what has a default left out. */
export type AlgorithmInput = z.input<typeof algorithm> | Omit<z.input<typeof ownModule>, 'name'>;
/** A name of the catalogue. */
export type AlgorithmName = Exclude<AlgorithmConfig['name'], 'module'>;
export type GrpoConfig = z.output<typeof grpo>;
export type ReinforceConfig = z.output<typeof reinforce>;

/** The names of the catalogue. */
export const ALGORITHM_NAMES = algorithm.options
  .map((option) => [...option.shape.name.values][0]!)
  .filter((name): name is AlgorithmName => name !== 'module');
