// eslint-disable-next-line no-restricted-imports -- the script is a constant; node:vm alone has a deadline for what does not yield
import { createContext, Script, type Context } from 'node:vm';
import { ForgeError } from '@forge/errors';

/** Longest time of a search; a linear one takes a thousandth of it for 100,000 characters. */
const SEARCH_MS = 1_000;

/** @throws {ForgeError} CONFIG_INVALID naming `field` when `pattern` is not a regular expression. */
export function regularExpression(pattern: string, flags: string, field: string): RegExp {
  try {
    return new RegExp(pattern, flags);
  } catch (cause) {
    const message = `${field}: found /${pattern}/${flags}, expected a regular expression: ${(cause as Error).message}`;
    throw new ForgeError('CONFIG_INVALID', message, { field, pattern }, { cause });
  }
}

/**
 * A search for a user's expression that ends whatever the expression: nested repetitions take exponential time.
 *
 * @throws {ForgeError} CONFIG_INVALID naming `field`, from the search, when it takes longer than a second.
 */
export function boundedSearch(expression: RegExp, field: string): (text: string) => RegExpExecArray | null {
  const script = new Script('expression.exec(text)');
  let context: Context | null = null;
  return (text) => {
    context ??= createContext({ expression });
    context['text'] = text;
    expression.lastIndex = 0;
    try {
      return script.runInContext(context, { timeout: SEARCH_MS }) as RegExpExecArray | null;
    } catch (cause) {
      if ((cause as { code?: unknown }).code !== 'ERR_SCRIPT_EXECUTION_TIMEOUT') throw cause;
      const message = `${field}: found ${expression}, which takes longer than ${SEARCH_MS} ms for a text of ${text.length} characters; leave no repetition inside a repetition`;
      throw new ForgeError('CONFIG_INVALID', message, { field, pattern: expression.source }, { cause });
    }
  };
}
