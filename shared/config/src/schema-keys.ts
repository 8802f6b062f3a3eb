import { z } from 'zod';

/**
 * The keys an object may have at a dotted path of a schema; null where the path leads to no object with fixed keys.
 * A union has the keys of the member that `input` is, and those of all members where it is another thing.
 */
export function keysAt(schema: z.ZodType, path: readonly PropertyKey[], input: unknown): string[] | null {
  let current: z.ZodType[] = [schema];
  let value = input;
  for (const step of path) {
    current = current.flatMap((one) => children(one, step, value));
    if (current.length === 0) return null;
    value = property(value, step);
  }
  const keys = current.flatMap((one) => objects(one, value).flatMap((object) => Object.keys(object.shape)));
  return keys.length === 0 ? null : [...new Set(keys)];
}

/**
 * The members of the union at a path that have a key, by their literal (`name`, `kind`), and the one that `input` is; null
 * where the path leads to no union whose member is known.
 */
export function ownersOf(
  schema: z.ZodType,
  path: readonly PropertyKey[],
  key: string,
  input: unknown,
): { chosen: string; owners: string[] } | null {
  const value = path.reduce<unknown>(property, input);
  for (const union of schemasAt(schema, path, input)) {
    if (!(union instanceof z.ZodUnion)) continue;
    const members = (union.options as z.ZodType[]).map(unwrap).filter((one) => one instanceof z.ZodObject);
    const chosen = members.find((member) => hasLiterals(member, value));
    if (chosen === undefined) continue;
    const owners = members.filter((member) => key in member.shape).map(literalOf);
    return { chosen: literalOf(chosen), owners };
  }
  return null;
}

function literalOf({ shape }: z.ZodObject): string {
  const literal = Object.values(shape as Record<string, z.ZodType>).find(
    (one) => one instanceof z.ZodLiteral,
  );
  return literal === undefined ? '' : String([...literal.values][0]);
}

/** Whether the path leads to a list, whose keys are indices. */
export function isListAt(schema: z.ZodType, path: readonly PropertyKey[], input: unknown): boolean {
  return schemasAt(schema, path, input).some((one) => one instanceof z.ZodArray || one instanceof z.ZodTuple);
}

/** Whether the path leads to a field that takes nothing but a text. */
export function isTextAt(schema: z.ZodType, path: readonly PropertyKey[], input: unknown): boolean {
  const found = schemasAt(schema, path, input);
  return found.length > 0 && found.every(isText);
}

function isText(schema: z.ZodType): boolean {
  if (schema instanceof z.ZodString) return true;
  if (schema instanceof z.ZodEnum) return schema.options.every((option) => typeof option === 'string');
  return schema instanceof z.ZodLiteral && [...schema.values].every((value) => typeof value === 'string');
}

/** The schemas a path may lead to, without defaults and transforms. */
function schemasAt(schema: z.ZodType, path: readonly PropertyKey[], input: unknown): z.ZodType[] {
  let current: z.ZodType[] = [schema];
  let value = input;
  for (const step of path) {
    current = current.flatMap((one) => children(one, step, value));
    value = property(value, step);
  }
  return current.map(unwrap);
}

/** Dotted paths to every key whose last part is `key`. */
export function pathsTo(schema: z.ZodType, key: string, input: unknown, prefix = ''): string[] {
  return objects(schema, input).flatMap((object) =>
    Object.entries(object.shape as Record<string, z.ZodType>).flatMap(([name, child]) => [
      ...(name === key ? [`${prefix}${name}`] : []),
      ...pathsTo(child, key, property(input, name), `${prefix}${name}.`),
    ]),
  );
}

function property(value: unknown, key: PropertyKey): unknown {
  return typeof value === 'object' && value !== null
    ? (value as Record<PropertyKey, unknown>)[key]
    : undefined;
}

function children(schema: z.ZodType, step: PropertyKey, input: unknown): z.ZodType[] {
  const inner = unwrap(schema);
  if (inner instanceof z.ZodArray) return /^\d+$/.test(String(step)) ? [inner.element as z.ZodType] : [];
  return objects(schema, input).flatMap((object) => {
    const child = (object.shape as Record<string, z.ZodType>)[String(step)];
    return child === undefined ? [] : [child];
  });
}

function objects(schema: z.ZodType, input: unknown): z.ZodObject[] {
  const inner = unwrap(schema);
  if (inner instanceof z.ZodObject) return [inner];
  if (!(inner instanceof z.ZodUnion)) return [];
  const members = (inner.options as z.ZodType[]).flatMap((option) => objects(option, input));
  const chosen = members.filter((member) => hasLiterals(member, input));
  return chosen.length > 0 ? chosen : members;
}

/** Whether `input` has what the object demands literally: it is the discriminator that tells members apart. */
function hasLiterals(object: z.ZodObject, input: unknown): boolean {
  return Object.entries(object.shape as Record<string, z.ZodType>).every(([name, child]) => {
    const isGiven =
      property(input, name) ??
      (name === 'name' && property(input, 'module') !== undefined ? 'module' : undefined);
    return !(child instanceof z.ZodLiteral) || child.values.has(isGiven as z.core.util.Literal);
  });
}

/** The schema inside defaults, optionals and transforms. */
function unwrap(schema: z.ZodType): z.ZodType {
  let inner = schema;
  for (;;) {
    if (
      inner instanceof z.ZodDefault ||
      inner instanceof z.ZodPrefault ||
      inner instanceof z.ZodOptional ||
      inner instanceof z.ZodNullable
    ) {
      inner = inner.unwrap() as z.ZodType;
    } else if (inner instanceof z.ZodPipe) {
      // A transform comes behind the schema, a preprocessing step before it.
      inner = (inner.in instanceof z.ZodTransform ? inner.out : inner.in) as z.ZodType;
    } else return inner;
  }
}
