import type { Recipe, SftRecipe } from './recipe';
export interface RecipeSource { searchDirs: readonly string[] }
export declare function loadRecipe(nameOrPath: string, overrides: readonly string[], source: RecipeSource): Recipe;
export declare function loadSftRecipe(nameOrPath: string, overrides: readonly string[], source: RecipeSource): SftRecipe;
