import { isMap, isScalar, isSeq, Lexer, parseDocument, type Document } from 'yaml';

/** The value that an override sets, or why it can't be told. */
export type OverrideValue = { value: unknown } | { problem: string };

/**
 * The value of an override. Where the field takes a text, it is what was typed, or what stands in the quotes around all
 * of it; elsewhere it is read as YAML, and refused where YAML would leave a part of it out. `null` takes the key out.
 */
export function overrideValue(text: string, isText: boolean): OverrideValue {
  if (text === '')
    return {
      problem:
        'nothing is given; null takes a key out, so that its default applies, and "" is the empty text',
    };
  if (text === 'null') return { value: null };
  return isText ? { value: unquoted(text) ?? text } : yamlValue(text);
}

/** The text in the quotes around all of it; null where there are no such quotes. */
function unquoted(text: string): string | null {
  if (!/^(".*"|'.*')$/s.test(text)) return null;
  const { contents, errors } = parseDocument(text);
  const isWhole = isScalar(contents) && contents.range?.[1] === text.length;
  return errors.length === 0 && isWhole && typeof contents.value === 'string' ? contents.value : null;
}

function yamlValue(text: string): OverrideValue {
  const document = parseDocument(text, { logLevel: 'error' });
  const [error] = [...document.errors, ...document.warnings];
  if (error) return { problem: error.message };
  const lost = whatIsLost(text, document);
  if (lost !== null) return { problem: `${lost}; ${howToQuote(text)}` };
  try {
    return { value: document.toJS() as unknown };
  } catch (error) {
    // An alias has no anchor to stand for.
    return { problem: `${error instanceof Error ? error.message : String(error)}; ${howToQuote(text)}` };
  }
}

/** The reason why YAML would not read all of a text as its value; null where it does. */
function whatIsLost(text: string, { contents }: Document.Parsed): string | null {
  if ([...new Lexer().lex(text)].some((token) => token.startsWith('#')))
    return '# begins a comment, and what follows would be dropped';
  if ((isMap(contents) || isSeq(contents)) && !contents.flow)
    return 'a mapping is written {key: value}, a list [a, b]';
  if (!isScalar(contents)) return null;
  if (contents.value === null) return 'null takes a key out, so that its default applies';
  const isPlain = contents.type === 'PLAIN' && contents.tag === undefined;
  return isPlain && contents.source !== text.trim() ? 'YAML would leave a part of it out' : null;
}

function howToQuote(text: string): string {
  return `a text is put in quotes: ${JSON.stringify(text)}`;
}
