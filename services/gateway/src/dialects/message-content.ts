import { z } from 'zod';

/** Messages of a request at most, and parts of a message. */
export const MAX_MESSAGES = 4096;
const MAX_PARTS = 1024;

/**
 * The content of a message: text, or parts of text, which are put together. Other parts, such as images, are refused.
 *
 * @param types of parts that have text in `text`, or in the field of another name that `refusal` has.
 */
export function contentOf(...types: readonly string[]) {
  const part = z
    .looseObject({ type: z.enum(types as [string, ...string[]], { error: notText(types) }) })
    .pipe(z.looseObject({ type: z.string(), text: z.string().optional(), refusal: z.string().optional() }))
    .transform((found, context) => {
      const text = found.type === 'refusal' ? found.refusal : found.text;
      if (text === undefined) context.addIssue({ code: 'custom', message: 'expected text', path: ['text'] });
      return text ?? '';
    });
  return z.union(
    [
      z.string(),
      z
        .array(part)
        .max(MAX_PARTS)
        .transform((texts) => texts.join('')),
    ],
    {
      error: 'expected text, or a list of parts of text',
    },
  );
}

function notText(types: readonly string[]): (issue: { input?: unknown }) => string {
  return ({ input }) =>
    `expected ${types.join(' or ')}, found ${JSON.stringify(input) ?? 'nothing'}: the model reads text only`;
}
