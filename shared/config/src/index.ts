export { recipeSchema, sftRecipeSchema, candidatesPerBatch, type Recipe, type SftRecipe } from './recipe';
export { taskSchema, type TaskConfig } from './task';
export type { TrainerConfig } from './trainer';
export type { AlgorithmConfig, GrpoConfig, ReinforceConfig } from './algorithm';
export type { RewardConfig } from './reward';
export { loadRecipe, loadSftRecipe } from './load-recipe';
