import { z } from 'zod';

/**
 * The keys an object may have at a dotted path of a schema; all those of a union's members; null where the path leads
 * to no object with fixed keys.
 */
export function keysAt(schema: z.ZodType, path: readonly PropertyKey[]): string[] | null {
  let current: z.ZodType[] = [schema];
  for (const step of path) {
    current = current.flatMap((one) => children(one, step));
    if (current.length === 0) return null;
  }
  const keys = current.flatMap((one) => objects(one).flatMap((object) => Object.keys(object.shape)));
  return keys.length === 0 ? null : [...new Set(keys)];
}

function children(schema: z.ZodType, step: PropertyKey): z.ZodType[] {
  const inner = unwrap(schema);
  if (inner instanceof z.ZodArray || inner instanceof z.ZodTuple) {
    if (!/^\d+$/.test(String(step))) return [];
    return inner instanceof z.ZodArray ? [inner.element as z.ZodType] : [];
  }
  return objects(schema).flatMap((object) => {
    const child = (object.shape as Record<string, z.ZodType>)[String(step)];
    return child === undefined ? [] : [child];
  });
}

function objects(schema: z.ZodType): z.ZodObject[] {
  const inner = unwrap(schema);
  if (inner instanceof z.ZodObject) return [inner];
  if (inner instanceof z.ZodUnion) return (inner.options as z.ZodType[]).flatMap(objects);
  return [];
}

/** The schema inside defaults, optionals and transforms. */
function unwrap(schema: z.ZodType): z.ZodType {
  let inner = schema;
  for (;;) {
    if (inner instanceof z.ZodDefault || inner instanceof z.ZodPrefault || inner instanceof z.ZodOptional || inner instanceof z.ZodNullable) {
      inner = inner.unwrap() as z.ZodType;
    } else if (inner instanceof z.ZodPipe) {
      // A transform comes behind the schema, a preprocessing step before it.
      inner = (inner.in instanceof z.ZodTransform ? inner.out : inner.in) as z.ZodType;
    } else return inner;
  }
}
