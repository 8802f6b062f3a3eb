import { z } from 'zod';
import { ApiProblem } from './api-problem';

/** Objects and lists within each other at most: a template and a JSON Schema go through them by recursion. */
const MAX_DEPTH = 64;

/**
 * The body of a request, checked; fields that the schema has not are left out.
 *
 * @throws {ApiProblem} naming the first field at fault.
 */
export function readBody<S extends z.ZodType>(schema: S, body: unknown): z.output<S> {
  if (typeof body !== 'object' || body === null)
    throw new ApiProblem('invalid', 'the body must be a JSON object, sent as application/json');
  if (isDeeper(body, MAX_DEPTH))
    throw new ApiProblem('invalid', `the body has more than ${MAX_DEPTH} levels of objects and lists`);
  const result = schema.safeParse(body);
  if (result.success) return result.data;
  const { path, message } = closest(result.error.issues[0]!);
  const param = path.map(String).join('.');
  throw new ApiProblem('invalid', param === '' ? message : `${param}: ${message}`, {
    param: param || undefined,
  });
}

interface Fault {
  path: readonly PropertyKey[];
  message: string;
  /** Whether the value is of another type than is expected there, as it is in all forms of a union but one. */
  isOfOtherType: boolean;
}

/** Fault of a union: that of the form which the value comes closest to. */
function closest(issue: z.core.$ZodIssue, above: readonly PropertyKey[] = []): Fault {
  const path = [...above, ...issue.path];
  const own = { path, message: issue.message, isOfOtherType: issue.code === 'invalid_type' };
  if (issue.code !== 'invalid_union') return own;
  const faults = issue.errors.flatMap(([first]) => (first === undefined ? [] : [closest(first, path)]));
  const isCloser = (a: Fault, b: Fault): boolean =>
    a.path.length === b.path.length ? b.isOfOtherType && !a.isOfOtherType : a.path.length > b.path.length;
  return faults.reduce((best, fault) => (isCloser(fault, best) ? fault : best), {
    ...own,
    isOfOtherType: true,
  });
}

function isDeeper(value: unknown, levels: number): boolean {
  if (typeof value !== 'object' || value === null) return false;
  return levels === 0 || Object.values(value).some((part) => isDeeper(part, levels - 1));
}

/**
 * A field that is known and can't be met unless it has one of the values by which it asks for nothing.
 *
 * @param why what is missing, and the way out.
 */
export function unsupported(why: string, ...harmless: readonly unknown[]) {
  const isHarmless = (value: unknown): boolean =>
    value === undefined ||
    value === null ||
    harmless.some((one) => JSON.stringify(one) === JSON.stringify(value));
  return z.unknown().refine(isHarmless, { error: why }).optional();
}
