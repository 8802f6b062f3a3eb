import type { z } from 'zod';
import { HttpProblem } from './http-problem';

/**
 * A part of a request, checked.
 *
 * @throws {HttpProblem} 400 naming the first field that is wrong.
 */
export function asked<S extends z.ZodType>(schema: S, value: unknown, part: string): z.output<S> {
  const result = schema.safeParse(value);
  if (result.success) return result.data;
  const [issue] = result.error.issues;
  const field = issue?.path.join('.') ?? '';
  throw new HttpProblem(
    400,
    'BAD_REQUEST',
    `${part}: ${field === '' ? '' : `${field}: `}${issue?.message ?? ''}`,
  );
}
