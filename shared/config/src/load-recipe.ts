import { existsSync, readdirSync } from 'node:fs';
import { basename, join } from 'node:path';
import { storedBound } from '@forge/contracts';
import { ForgeError } from '@forge/errors';
import { parseDocument, stringify } from 'yaml';
import type { z } from 'zod';
import { applyOverrides } from './overrides';
import { describeIssues, invalidConfig, parseConfig } from './issues';
import { readText } from './read-text';
import { recipeSchema, type Recipe } from './recipe';
import { sftRecipeSchema, type SftRecipe } from './sft-recipe';
import { nearest } from './suggestion';

export interface RecipeSource {
  /** Directories in which a recipe is found by its name. */
  searchDirs: readonly string[];
}

/**
 * The recipe of a name or path with overrides (`trainer.learningRate=3e-4`) applied and every default filled in.
 *
 * @throws {ForgeError} CONFIG_FILE_UNREADABLE when there is no such recipe or it is no YAML; CONFIG_INVALID listing
 *   every field that is wrong, with what was found and expected.
 */
export function loadRecipe(nameOrPath: string, overrides: readonly string[], source: RecipeSource): Recipe {
  return load(recipeSchema, 'rl', nameOrPath, overrides, source);
}

/** The same for a recipe of supervised training (`kind: sft`). */
export function loadSftRecipe(
  nameOrPath: string,
  overrides: readonly string[],
  source: RecipeSource,
): SftRecipe {
  return load(sftRecipeSchema, 'sft', nameOrPath, overrides, source);
}

/** A resolved recipe as it goes into JSON, which has no infinite number. */
export function storedRecipe(recipe: Recipe): object {
  return { ...recipe, maxStaleness: storedBound(recipe.maxStaleness) };
}

/**
 * The recipe that `storedRecipe` stored. One without `maxStaleness` gets the default, as any other key; null stands for
 * no bound in recipes that older versions stored.
 *
 * @throws {ForgeError} CONFIG_INVALID, as when another version of Forge wrote it.
 */
export function parseResolvedRecipe(json: unknown): Recipe {
  const isUnbounded = (json as { maxStaleness?: unknown } | null)?.maxStaleness === null;
  const value = isUnbounded ? { ...(json as object), maxStaleness: Infinity } : json;
  return parseConfig(recipeSchema, value, 'the stored recipe');
}

/** A resolved recipe as YAML. */
export function recipeToYaml(recipe: Recipe | SftRecipe): string {
  return stringify(recipe);
}

function load<S extends z.ZodType>(
  schema: S,
  kind: 'rl' | 'sft',
  nameOrPath: string,
  overrides: readonly string[],
  source: RecipeSource,
): z.output<S> {
  const path = findRecipe(nameOrPath, source);
  const raw = readYaml(path);
  const found = (raw as { kind?: unknown }).kind ?? 'rl';
  if (found !== kind) {
    const command = found === 'sft' ? 'forge sft' : 'forge run';
    throw new ForgeError(
      'CONFIG_INVALID',
      `${path}: this is a recipe of kind ${String(found)}; start it with ${command}`,
      { path },
    );
  }
  const { value, problems } = applyOverrides(raw, overrides, schema);
  const result = schema.safeParse(value);
  const all = [...problems, ...(result.success ? [] : describeIssues(result.error.issues, value, schema))];
  if (all.length > 0 || !result.success) {
    throw invalidConfig(path, all);
  }
  return result.data;
}

function findRecipe(nameOrPath: string, { searchDirs }: RecipeSource): string {
  if (/\.ya?ml$/.test(nameOrPath) || nameOrPath.includes('/')) {
    if (existsSync(nameOrPath)) return nameOrPath;
    throw new ForgeError('CONFIG_FILE_UNREADABLE', `there is no recipe file ${nameOrPath}`, {
      path: nameOrPath,
    });
  }
  for (const dir of searchDirs) {
    const path = join(dir, `${nameOrPath}.yaml`);
    if (existsSync(path)) return path;
  }
  const names = searchDirs
    .flatMap((dir) => (existsSync(dir) ? readdirSync(dir) : []))
    .flatMap((file) => (file.endsWith('.yaml') ? [basename(file, '.yaml')] : []));
  const hint = nearest(nameOrPath, names);
  const suggestion = hint === null ? '' : `; did you mean ${hint}?`;
  const message = `there is no recipe ${nameOrPath}${suggestion} (known: ${names.sort().join(', ')}; or give a path)`;
  throw new ForgeError('CONFIG_FILE_UNREADABLE', message, { name: nameOrPath, known: names });
}

function readYaml(path: string): Record<string, unknown> {
  const document = parseDocument(readText(path));
  const [error] = document.errors;
  if (error) throw new ForgeError('CONFIG_FILE_UNREADABLE', `${path}: ${error.message}`, { path });
  let value: unknown;
  try {
    value = document.toJS();
  } catch (cause) {
    // Aliases without an anchor, or too many of them.
    const reason = cause instanceof Error ? cause.message : String(cause);
    throw new ForgeError('CONFIG_FILE_UNREADABLE', `${path}: ${reason}`, { path }, { cause });
  }
  if (typeof value === 'object' && value !== null && !Array.isArray(value))
    return value as Record<string, unknown>;
  throw new ForgeError('CONFIG_FILE_UNREADABLE', `${path}: a recipe is a mapping of keys to values`, {
    path,
  });
}
