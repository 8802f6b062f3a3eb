import type { z } from 'zod';
import { unknownKey } from './issues';
import { overrideValue } from './override-value';
import { isListAt, isTextAt, keysAt } from './schema-keys';

interface Overridden {
  value: Record<string, unknown>;
  /** Faults of the overrides themselves. */
  problems: string[];
}

/**
 * `recipe` with each `a.b=value` set, as `overrideValue` reads it; null takes the key out, so that its default applies.
 * The key of a list is an index. Keys the schema does not know are problems, with a suggestion.
 */
export function applyOverrides(
  recipe: Record<string, unknown>,
  overrides: readonly string[],
  schema: z.ZodType,
): Overridden {
  const value = structuredClone(recipe);
  const problems: string[] = [];
  for (const override of overrides) {
    const at = override.indexOf('=');
    if (at <= 0) {
      problems.push(`${override}: an override has the form key=value`);
      continue;
    }
    const path = override.slice(0, at).split('.');
    const problem = pathProblem(path, schema, value);
    if (problem !== null) {
      problems.push(problem);
      continue;
    }
    const given = overrideValue(override.slice(at + 1), isTextAt(schema, path, value));
    if ('problem' in given) problems.push(`${override}: ${given.problem}`);
    else set(value, path, given.value);
  }
  return { value, problems };
}

/** The fault of the first part of the path that leads nowhere; null when all of it is known or free. */
function pathProblem(path: readonly string[], schema: z.ZodType, value: unknown): string | null {
  let at = value;
  for (const [depth, key] of path.entries()) {
    const parent = path.slice(0, depth);
    if (isListAt(schema, parent, value)) {
      const length = Array.isArray(at) ? at.length : 0;
      if (!/^\d+$/.test(key) || Number(key) > length) {
        return `${path.slice(0, depth + 1).join('.')}: found ${key}, expected an index of ${parent.join('.')} from 0 to ${length}`;
      }
    } else {
      const known = keysAt(schema, parent, value);
      if (known !== null && !known.includes(key)) return unknownKey(path.slice(0, depth + 1), schema, value);
    }
    at =
      typeof at === 'object' && at !== null && Object.hasOwn(at, key)
        ? (at as Record<string, unknown>)[key]
        : undefined;
  }
  return null;
}

function set(target: Record<string, unknown>, path: readonly string[], value: unknown): void {
  let at = target;
  for (const key of path.slice(0, -1)) {
    const next = Object.hasOwn(at, key) ? at[key] : undefined;
    if (typeof next === 'object' && next !== null) at = next as Record<string, unknown>;
    else {
      const made: Record<string, unknown> = {};
      at[key] = made;
      at = made;
    }
  }
  const last = path.at(-1)!;
  if (value === null && !Array.isArray(at)) delete at[last];
  else at[last] = value;
}
