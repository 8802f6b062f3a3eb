import type { z } from 'zod';
import { keysAt } from './schema-keys';
import { nearest } from './suggestion';

/** Each problem as one line: the field, what was found, what is expected, and the nearest key for an unknown one. */
export function describeIssues(issues: readonly z.core.$ZodIssue[], input: unknown, schema: z.ZodType): string[] {
  return issues.flatMap((issue) => {
    const path = issue.path.map(String);
    if (issue.code === 'unrecognized_keys') return issue.keys.map((key) => unknownKey([...path, key], schema));
    if (issue.code === 'invalid_union' && issue.errors.length > 0) {
      const [closest] = [...issue.errors].sort((a, b) => a.length - b.length);
      if (closest && closest.length > 0 && closest.every((inner) => inner.path.length > 0)) {
        return describeIssues(closest.map((inner) => ({ ...inner, path: [...issue.path, ...inner.path] })), input, schema);
      }
    }
    const found = path.reduce<unknown>((value, key) => (value as Record<string, unknown> | undefined)?.[key], input);
    return [`${path.join('.') || 'recipe'}: ${found === undefined ? 'missing' : `found ${shown(found)}`}; ${issue.message}`];
  });
}

/** The line for a key that the schema does not have at this place. */
export function unknownKey(path: readonly string[], schema: z.ZodType): string {
  const parent = path.slice(0, -1);
  const known = keysAt(schema, parent) ?? [];
  const hint = nearest(path.at(-1)!, known);
  const suggestion = hint === null ? ` (known: ${known.sort().join(', ')})` : `; did you mean ${[...parent, hint].join('.')}?`;
  return `${path.join('.')}: unknown key${suggestion}`;
}

function shown(value: unknown): string {
  if (typeof value === 'number') return String(value);
  return JSON.stringify(value) ?? String(value);
}
