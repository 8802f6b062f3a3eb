import { invalidConfig, describeIssues } from './issues';
import { applyOverrides } from './overrides';
import { recipeSchema, type Recipe } from './recipe';

/**
 * Keys that may change when a run goes on: how long, how much at once, how often, and by which trainer, but not what is
 * computed.
 */
const CHANGEABLE =
  /^(steps|stopAtAccuracy|(policy|reference|reward|gateway)\.replicas|limits\.\w+|evaluation\.(everySteps|samples)|trainer\.(engine|torch\.\w+|checkpointEverySteps|keepCheckpoints)|output\.sampleRollouts)$/;
const NAMED =
  'steps, stopAtAccuracy, policy.replicas, reference.replicas, reward.replicas, gateway.replicas, limits.*, evaluation.everySteps, evaluation.samples, trainer.engine, trainer.torch.*, trainer.checkpointEverySteps, trainer.keepCheckpoints, output.sampleRollouts';

/**
 * The recipe of a run that goes on with other values; null takes one out, so that its default applies.
 *
 * A linear or cosine schedule ends at `steps`: with other steps it would have given the steps that are trained other
 * learning rates, so these stay.
 *
 * @throws {ForgeError} CONFIG_INVALID naming each key that can't change, is unknown or has a wrong value.
 */
export function overrideForResume(recipe: Recipe, overrides: readonly string[]): Recipe {
  const what = 'overrides of a run that is resumed';
  const refused = overrides
    .map((override) => override.slice(0, Math.max(0, override.indexOf('='))))
    .filter((key) => key !== '' && !CHANGEABLE.test(key))
    .map((key) => `${key}: can't change when a run is resumed; what can is ${NAMED}`);
  if (refused.length > 0) throw invalidConfig(what, refused);
  const { value, problems } = applyOverrides({ ...recipe }, overrides, recipeSchema);
  const result = recipeSchema.safeParse(value);
  const all = [
    ...problems,
    ...(result.success ? [] : describeIssues(result.error.issues, value, recipeSchema)),
  ];
  if (all.length > 0 || !result.success) throw invalidConfig(what, all);
  const { schedule } = recipe.trainer;
  if (schedule !== 'constant' && result.data.steps !== recipe.steps) {
    throw invalidConfig(what, [
      `steps: the ${schedule} schedule of the learning rate ends at step ${recipe.steps}, so the steps of this run can't change; start a new one from its model`,
    ]);
  }
  return result.data;
}
