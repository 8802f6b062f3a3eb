import { z } from 'zod';
import { applyOverrides } from './overrides';
import { describeIssues, invalidConfig } from './issues';
import { recipeSchema } from './recipe';
import { stalenessBound } from './tuning';

const { steps, stopAtAccuracy } = recipeSchema.in.shape;

/** Keys of a recipe that may change while its run goes on; services read all others once, at their start. */
const runChangesSchema = z.strictObject({
  maxStaleness: stalenessBound.optional(),
  steps: steps.optional(),
  stopAtAccuracy: z.union([stopAtAccuracy.unwrap(), z.null()]).optional(),
});

export type RunChangesInput = z.output<typeof runChangesSchema>;

/**
 * Changes to a running run from `key=value`; null takes `stopAtAccuracy` away.
 *
 * @throws {ForgeError} CONFIG_INVALID listing every problem, and what can be changed.
 */
export function parseRunChanges(assignments: readonly string[]): RunChangesInput {
  const { value, problems } = applyOverrides({}, assignments, runChangesSchema);
  if (assignments.some((text) => /^stopAtAccuracy=null$/.test(text))) value['stopAtAccuracy'] = null;
  const result = runChangesSchema.safeParse(value);
  const all = [
    ...problems,
    ...(result.success ? [] : describeIssues(result.error.issues, value, runChangesSchema)),
  ];
  if (all.length === 0 && Object.keys(value).length === 0) all.push('nothing to change');
  if (all.length === 0 && result.success) return result.data;
  const known = Object.keys(runChangesSchema.shape).join(', ');
  throw invalidConfig('changes to the run', [...all, `can be set while a run goes on: ${known}`]);
}
