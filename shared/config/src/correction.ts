import { z } from 'zod';

const ratio = z.number().gt(0);
const bounds = (low: number, high: number) => ({
  low: ratio.default(low).describe('least old / behaviour that counts'),
  high: ratio.default(high).describe('largest old / behaviour that counts'),
});

const correction = z.discriminatedUnion('name', [
  z
    .strictObject({
      name: z.literal('tis'),
      level: z
        .enum(['token', 'sequence'])
        .default('token')
        .describe('a weight per token, or one per sequence: the product over its tokens'),
      bound: z.number().min(1).default(2).describe('largest weight; 2 as slime, verl and SkyRL have it'),
    })
    .describe('truncated importance sampling: weighs by min(old / behaviour, bound)'),
  z
    .strictObject({ name: z.literal('icepop'), ...bounds(0.5, 5) })
    .describe('weighs by old / behaviour, and leaves out tokens where that is out of bounds'),
  z
    .strictObject({ name: z.literal('sequence-mask'), ...bounds(0.5, 2) })
    .describe('leaves out sequences whose product of old / behaviour is out of bounds'),
  z
    .strictObject({ name: z.literal('geometric-mask'), ...bounds(0.99, 1.01) })
    .describe(
      'leaves out sequences whose geometric mean of old / behaviour is out of bounds; bounds as in SkyRL, NeMo RL has 0.999 and 1.002',
    ),
  z
    .strictObject({ name: z.literal('outlier'), ...bounds(1e-4, 100) })
    .describe('leaves out sequences with a token whose old / behaviour is out of bounds'),
  z
    .strictObject({
      name: z.literal('opsm'),
      threshold: z
        .number()
        .min(0)
        .default(0.5)
        .describe('largest mean of log(behaviour / policy), in nats; 0.5 as TRL suggests, slime has 1e-4'),
    })
    .describe('leaves out sequences with a negative advantage that the policy has moved away from'),
]);

type Correction = z.output<typeof correction>;

/** One correction, or several: a list, or what `algorithm.correction.0.name=tis` makes where there is none yet. */
export const correctionSchema = z.preprocess((value) => {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return value;
  return '0' in value ? Object.values(value) : [value];
}, z.array(correction).max(6).describe('for data of an older or differently computed policy; one, or a list whose weights multiply'));

/** True for a correction by importance weights; the others only leave tokens out. */
export function isWeighting({ name }: Correction): boolean {
  return name === 'tis' || name === 'icepop';
}

/** Contradictions among corrections: the path below them, and what is expected. */
export function correctionProblems(
  corrections: readonly Correction[],
): { path: (string | number)[]; message: string }[] {
  const names = corrections.map(({ name }) => name);
  const weighting = corrections.filter(isWeighting).map(({ name }) => name);
  return corrections.flatMap((one, i) => {
    const problems = [];
    if (names.indexOf(one.name) < i)
      problems.push({ path: [i, 'name'], message: `each correction once: ${one.name} is there already` });
    else if (isWeighting(one) && weighting[0] !== one.name)
      problems.push({
        path: [i, 'name'],
        message: `one correction that weighs by old / behaviour, and ${weighting[0]} does already`,
      });
    if ('low' in one && one.low >= one.high)
      problems.push({ path: [i, 'low'], message: `a number < high, which is ${one.high}` });
    return problems;
  });
}
