import { ForgeError } from '@forge/errors';

/**
 * The words of `FORGE_OVERRIDES`, as a shell splits them: white space separates, quotes keep it in. A backslash is an
 * ordinary character.
 *
 * @throws {ForgeError} CONFIG_INVALID for a quote that is not closed.
 */
export function splitWords(line: string): string[] {
  const open = /["']/.exec(line.replace(/"[^"]*"|'[^']*'/g, (quoted) => ' '.repeat(quoted.length)));
  if (open !== null) {
    const message = `environment variable FORGE_OVERRIDES: the quote before ${line.slice(open.index + 1, open.index + 21) || 'its end'} is not closed; put a value with ${open[0]} in quotes of the other kind`;
    throw new ForgeError('CONFIG_INVALID', message, { variable: 'FORGE_OVERRIDES' });
  }
  return [...line.matchAll(/(?:[^\s"']|"[^"]*"|'[^']*')+/g)].map(([word]) =>
    word.replace(/"([^"]*)"|'([^']*)'/g, (_, double?: string, single?: string) => double ?? single ?? ''),
  );
}
