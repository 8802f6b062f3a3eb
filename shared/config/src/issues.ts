import { ForgeError } from '@forge/errors';
import type { z } from 'zod';
import { keysAt, ownersOf, pathsTo } from './schema-keys';
import { nearest } from './suggestion';

/**
 * `value` checked against `schema`, with every default filled in.
 *
 * @throws {ForgeError} CONFIG_INVALID naming `what` and listing every field that is wrong, with what was found and
 *   expected.
 */
export function parseConfig<S extends z.ZodType>(schema: S, value: unknown, what: string): z.output<S> {
  const result = schema.safeParse(value);
  if (result.success) return result.data;
  throw invalidConfig(what, describeIssues(result.error.issues, value, schema));
}

/** The error that lists all `problems` of a config; one alone stands on the same line. */
export function invalidConfig(what: string, problems: readonly string[]): ForgeError {
  const list = problems.length === 1 ? ` ${problems[0]}` : problems.map((line) => `\n  ${line}`).join('');
  return new ForgeError('CONFIG_INVALID', `${what}:${list}`, { path: what, problems });
}

/** Each problem as one line: the field, what was found, what is expected, and the nearest key for an unknown one. */
export function describeIssues(
  issues: readonly z.core.$ZodIssue[],
  input: unknown,
  schema: z.ZodType,
): string[] {
  return issues.flatMap((issue) => {
    const path = issue.path.map(String);
    if (issue.code === 'unrecognized_keys')
      return issue.keys.map((key) => unknownKey([...path, key], schema, input));
    const found = path.reduce<unknown>(valueAt, input);
    const expected = expectation(issue, found);
    return [
      `${path.join('.') || 'config'}: ${found === undefined ? 'missing' : `found ${shown(found)}`}, expected ${expected}`,
    ];
  });
}

/** The value under a key; a list that was given as its only item is that item under 0. */
function valueAt(value: unknown, key: string): unknown {
  const isItem = key === '0' && typeof value === 'object' && value !== null && !('0' in value);
  return isItem ? value : (value as Record<string, unknown> | null | undefined)?.[key];
}

/** The line for a key that the schema does not have at this place. */
export function unknownKey(path: readonly string[], schema: z.ZodType, input: unknown): string {
  const parent = path.slice(0, -1);
  const key = path.at(-1)!;
  const of = ownersOf(schema, parent, key, input);
  if (of !== null && of.owners.length > 0)
    return `${path.join('.')}: unknown key, ${of.chosen} has no such; ${of.owners.join(', ')} ${of.owners.length === 1 ? 'has' : 'have'}`;
  const known = keysAt(schema, parent, input) ?? [];
  const sibling = nearest(key, known);
  const near = sibling === null ? undefined : [...parent, sibling].join('.');
  // A whole name in another section beats a likeness in this one.
  const suggested = pathsTo(schema, key, input).find((one) => isWithinReach(one, input)) ?? near;
  const hint =
    suggested === undefined ? ` (known: ${known.sort().join(', ')})` : `; did you mean ${suggested}?`;
  return `${path.join('.')}: unknown key${hint}`;
}

/** Whether a key is in a section, or in a part of one that is there. */
function isWithinReach(path: string, input: unknown): boolean {
  const above = path.split('.').slice(0, -1);
  return above.length < 2 || above.reduce<unknown>(valueAt, input) !== undefined;
}

/** The values that a field takes, in words. */
function expectation(issue: z.core.$ZodIssue, found: unknown): string {
  switch (issue.code) {
    case 'invalid_type':
      return WORDS[issue.expected] ?? issue.expected;
    case 'too_small':
      return amount(issue.origin, issue.inclusive === false ? '>' : '>=', issue.minimum);
    case 'too_big':
      return amount(issue.origin, issue.inclusive === false ? '<' : '<=', issue.maximum);
    case 'invalid_value':
      return choice(issue.values.map(String), found);
    case 'invalid_union':
      return issue.discriminator === undefined ? issue.message : choice(optionsOf(issue), found);
    case 'invalid_format':
      return issue.format === 'regex' && issue.pattern !== undefined
        ? `a text that matches ${issue.pattern}`
        : issue.message;
    default:
      return issue.message;
  }
}

const WORDS: Readonly<Record<string, string>> = {
  int: 'a whole number',
  number: 'a number',
  string: 'a text',
  boolean: 'true or false',
  array: 'a list',
  tuple: 'a list',
  object: 'a mapping of keys to values',
  record: 'a mapping of keys to values',
};

function amount(origin: string, relation: string, bound: number | bigint): string {
  if (origin === 'string') return `a text of length ${relation} ${bound}`;
  if (origin === 'array') return `a list of length ${relation} ${bound}`;
  return `a number ${relation} ${bound}`;
}

function optionsOf(issue: z.core.$ZodIssueInvalidUnion): string[] {
  return ('options' in issue && Array.isArray(issue.options) ? issue.options : []).map(String);
}

function choice(values: readonly string[], found: unknown): string {
  const hint = typeof found === 'string' ? nearest(found, values) : null;
  const expected = values.length === 1 ? values[0]! : `one of ${values.join(', ')}`;
  return hint === null ? expected : `${expected}; did you mean ${hint}?`;
}

function shown(value: unknown): string {
  if (typeof value === 'number') return String(value);
  return JSON.stringify(value) ?? String(value);
}
