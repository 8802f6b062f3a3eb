import { z } from 'zod';
import { section } from './sections';

const overlong = z
  .strictObject({
    maxTokens: z
      .int()
      .min(1)
      .optional()
      .describe('longest completion; left out: that of `sampling.maxTokens`'),
    buffer: z
      .int()
      .min(1)
      .optional()
      .describe('tokens before the longest completion from which on it loses; left out: a fifth of that'),
    factor: z.number().min(0).default(1).describe('what the longest completion loses; 0 switches it off'),
    cap: z
      .enum(['factor', 'none'])
      .default('factor')
      .describe("factor: no more is lost, as in DAPO and OpenRLHF; none: AReaL's and verl's, without an end"),
  })
  .describe("DAPO's soft punishment of answers that are nearly too long");

const length = z
  .strictObject({
    weight: z.number().gt(0).default(1).describe('what the longest of a group loses against the shortest'),
    rightFrom: z.number().default(1).describe('reward from which on an answer is right; others get no bonus'),
  })
  .describe("Kimi k1.5's preference for short answers, within each group");

/** The stage between scoring and advantages. */
export function shapingFields({ punishesOverlong }: { punishesOverlong: boolean }) {
  return section({
    overlong: punishesOverlong ? overlong.prefault({}) : overlong.optional(),
    length: length.optional(),
    normalizeComponents: z
      .boolean()
      .default(false)
      .describe("each reward function in units of its group's standard deviation before they are added up"),
  });
}
