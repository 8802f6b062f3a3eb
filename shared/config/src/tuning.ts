import { z } from 'zod';
import { section } from './sections';

const MOST = 16;

/** A staleness bound, in policy versions. */
export const stalenessBound = z.preprocess(
  (value) => (typeof value === 'string' && /^\+?\.?inf(inity)?$/i.test(value) ? Infinity : value),
  z.union([z.int().min(0), z.literal(Infinity)], { error: 'a whole number >= 0, or .inf' }),
);

/** A bound, or `auto`: one of 16 versions, or as many as `most` says, below which the run tunes itself. */
export const maxStalenessSchema = z.preprocess(
  (value) => (value === 'auto' ? { auto: {} } : value),
  z.union(
    [
      stalenessBound,
      z.strictObject({
        auto: z.strictObject({ most: z.int().min(1).max(1024).default(MOST).describe('the bound') }),
      }),
    ],
    { error: 'a whole number >= 0, .inf, auto, or { auto: { most: 16 } }' },
  ),
);

export const tuningSchema = section({
  pace: z
    .boolean()
    .default(false)
    .describe(
      'the coordinator turns the pace of admission, the versions that it runs ahead of the trainer, between leastPace and maxStaleness; `maxStaleness: auto` sets it',
    ),
  groupsInFlight: z
    .boolean()
    .default(false)
    .describe(
      'it turns the groups in flight, up to limits.queuedGroups; `policy.jobConcurrency: auto` sets it',
    ),
  leastPace: z.int().min(0).max(1024).default(1).describe('0 lets it come down to a synchronous run'),
  effectiveSampleSize: z
    .number()
    .min(0)
    .max(1)
    .default(0.5)
    .describe('at least, over some steps; below, the pace is lowered'),
  behaviourKl: z
    .number()
    .gt(0)
    .default(0.1)
    .describe('kl/behaviour at most, in nats; above, the pace is lowered'),
  clipFraction: z
    .number()
    .gt(0)
    .max(1)
    .default(0.3)
    .describe('share of tokens whose ratio is clipped at most; above, the pace is lowered'),
});

type Unresolved = {
  maxStaleness: z.output<typeof maxStalenessSchema>;
  tuning: z.output<typeof tuningSchema>;
  policy: { jobConcurrency: number | 'auto'; maxBatch: number };
  algorithm: { groupSize: number };
};

/** Meaning of `auto`: a bound and a number of jobs, and dials that are turned. */
export function resolvedTuning({ maxStaleness, tuning, policy, algorithm }: Unresolved) {
  const { maxBatch, jobConcurrency } = policy;
  const isPaced = typeof maxStaleness === 'object';
  const isFilled = jobConcurrency === 'auto';
  return {
    maxStaleness: isPaced ? maxStaleness.auto.most : maxStaleness,
    tuning: { ...tuning, pace: tuning.pace || isPaced, groupsInFlight: tuning.groupsInFlight || isFilled },
    jobConcurrency: isFilled ? Math.min(1024, Math.ceil(maxBatch / algorithm.groupSize)) : jobConcurrency,
  };
}
