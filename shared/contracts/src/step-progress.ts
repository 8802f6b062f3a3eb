import { z } from 'zod';

const count = z.int().min(0);
const ms = z.number().min(0);
const share = z.strictObject({ done: count, of: count });

/** How far an optimizer step is, for people. */
export const stepProgressSchema = z.strictObject({
  /** The version it makes. */
  step: count,
  /** Its batch is not formed yet, or it is. */
  stage: z.enum(['rollouts', 'training']),
  /** Groups that are rolled out and scored, of the candidates for its batch. */
  groups: share,
  /** Tokens generated since the step before, and how many the candidates can have at most. */
  tokens: z.strictObject({ done: count, atMost: count }),
  /** Micro-batches that are trained; null before the trainer has cut the batch. */
  microBatches: share.nullable(),
  /** Since the step before was committed. */
  elapsedMs: ms,
  /** The whole step, by its own pace and that of the steps before; null while neither says enough. */
  expectedMs: ms.nullable(),
});

export type StepProgress = z.infer<typeof stepProgressSchema>;

/** The share of a step that is done, 0..1: of its time where that is known, else of the work of its stage. */
export function stepShare({
  stage,
  groups,
  tokens,
  microBatches,
  elapsedMs,
  expectedMs,
}: StepProgress): number {
  if (expectedMs !== null) return Math.min(NEVER_DONE, elapsedMs / Math.max(1, expectedMs));
  return stage === 'rollouts' ? rolloutShare({ groups, tokens }) : shareOf(microBatches);
}

/** The share of the rollouts of a step that is done: by groups, or by tokens while whole groups say less. */
export function rolloutShare({ groups, tokens }: Pick<StepProgress, 'groups' | 'tokens'>): number {
  const byTokens = Math.min(NEVER_DONE, shareOf({ done: tokens.done, of: tokens.atMost }));
  return Math.max(shareOf(groups), byTokens);
}

/** A step that is under way is not done, whatever its estimate says. */
const NEVER_DONE = 0.99;

function shareOf(part: { done: number; of: number } | null): number {
  return part === null || part.of === 0 ? 0 : Math.min(1, part.done / part.of);
}
