export { recipeSchema, sftRecipeSchema, candidatesPerBatch, type Recipe, type SftRecipe } from './recipe';
export { taskSchema, type TaskConfig } from './task';
export type { TrainerConfig } from './trainer';
export type { AlgorithmConfig, GrpoConfig, ReinforceConfig } from './algorithm';
export { rewardName, type RewardConfig } from './reward';
export {
  loadRecipe,
  loadSftRecipe,
  parseResolvedRecipe,
  recipeToYaml,
  type RecipeSource,
} from './load-recipe';
export {
  actorEnvironment,
  childEnvironment,
  cliEnvironment,
  visibleGpus,
  serviceEnvironment,
  type ServiceEnvironment,
} from './environment';
export { importModule, loadModule } from './load-module';
