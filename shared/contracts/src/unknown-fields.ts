import type { z } from 'zod';

type Issue = z.core.$ZodIssue;
type Path = readonly PropertyKey[];

/**
 * `message` without the fields that its schema does not know; null where something else is wrong with it, too. Parts that
 * have none are shared with it.
 */
export function withoutUnknown(message: unknown, issues: readonly Issue[]): unknown {
  const fields = unknownFields(issues);
  return fields && fields.reduce((rest: unknown, path) => without(rest, path), message);
}

/** Paths of the fields that nobody knows; null where there is another fault. */
function unknownFields(issues: readonly Issue[], at: Path = []): Path[] | null {
  const found: Path[] = [];
  for (const issue of issues) {
    const path = [...at, ...issue.path];
    if (issue.code === 'unrecognized_keys') {
      found.push(...issue.keys.map((key) => [...path, key]));
      continue;
    }
    const branches = issue.code === 'invalid_union' ? issue.errors : [];
    const branch = branches.map((inner) => unknownFields(inner, path)).find((fields) => fields !== null);
    if (branch === undefined) return null;
    found.push(...branch);
  }
  return found;
}

function without(value: unknown, [step, ...rest]: Path): unknown {
  if (step === undefined || typeof value !== 'object' || value === null) return value;
  const copy = (Array.isArray(value) ? [...(value as unknown[])] : { ...value }) as Record<
    PropertyKey,
    unknown
  >;
  if (rest.length === 0) Reflect.deleteProperty(copy, step);
  else copy[step] = without(copy[step], rest);
  return copy;
}
