import { parse } from 'yaml';
import type { z } from 'zod';
import { unknownKey } from './issues';
import { keysAt } from './schema-keys';

interface Overridden {
  value: Record<string, unknown>;
  /** What is wrong with the overrides themselves. */
  problems: string[];
}

/**
 * `recipe` with each `a.b=value` set; the value is read as YAML, a number as a key is an index. Keys the schema does
 * not know are problems, with a suggestion.
 */
export function applyOverrides(recipe: Record<string, unknown>, overrides: readonly string[], schema: z.ZodType): Overridden {
  const value = structuredClone(recipe);
  const problems: string[] = [];
  for (const override of overrides) {
    const at = override.indexOf('=');
    if (at <= 0) {
      problems.push(`${override}: an override has the form key=value`);
      continue;
    }
    const path = override.slice(0, at).split('.');
    const wrong = firstUnknown(path, schema);
    if (wrong !== null) {
      problems.push(unknownKey(wrong, schema));
      continue;
    }
    try {
      set(value, path, parse(override.slice(at + 1)) as unknown);
    } catch (error) {
      problems.push(`${override}: ${error instanceof Error ? error.message : String(error)}`);
    }
  }
  return { value, problems };
}

/** The shortest part of the path that leads nowhere; null when all of it is known or free. */
function firstUnknown(path: readonly string[], schema: z.ZodType): string[] | null {
  for (let length = 1; length <= path.length; length++) {
    const known = keysAt(schema, path.slice(0, length - 1));
    if (known === null) return null;
    if (!known.includes(path[length - 1]!)) return path.slice(0, length);
  }
  return null;
}

function set(target: Record<string, unknown>, path: readonly string[], value: unknown): void {
  let at = target;
  for (const key of path.slice(0, -1)) {
    const next = at[key];
    if (typeof next === 'object' && next !== null) at = next as Record<string, unknown>;
    else {
      const made: Record<string, unknown> = {};
      at[key] = made;
      at = made;
    }
  }
  at[path.at(-1)!] = value;
}
