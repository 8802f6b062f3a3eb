import { z } from 'zod';

/** Keys of the section `rollout`. */
export const rolloutFields = {
  truncated: z
    .union([
      z.enum(['keep', 'drop']),
      z.strictObject({
        reward: z
          .number()
          .min(-1e6)
          .max(1e6)
          .describe('what a rollout is worth that was cut off, whatever it was scored'),
      }),
    ])
    .default('keep')
    .describe(
      'what becomes of a rollout of several turns that was cut off: it keeps its reward, or is dropped: not trained on, but its reward counts for its group and in metrics; or `{ reward: ... }`, one for all such',
    ),
};

/** What becomes of rollouts that were cut off. */
export type Truncated = z.output<typeof rolloutFields.truncated>;
