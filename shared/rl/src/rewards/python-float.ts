/** White space that `float` skips. */
const FLOAT_SPACE = '\\t-\\r\\x20\\x85\\xa0\\u1680\\u2000-\\u200a\\u2028\\u2029\\u202f\\u205f\\u3000';
/** White space to `str.strip` and the `\s` of Python's `re`; JavaScript's `\s` differs. */
export const PYTHON_SPACE = `${FLOAT_SPACE}\\x1c-\\x1f`;

const SPACE = new RegExp(`[${FLOAT_SPACE}]`);
const DIGITS = '\\d+(?:_\\d+)*';
const DECIMAL = new RegExp(`^[+-]?(?:${DIGITS}(?:\\.(?:${DIGITS})?)?|\\.${DIGITS})(?:[eE][+-]?${DIGITS})?$`);
const INFINITY = /^[+-]?inf(?:inity)?$/i;
const NAN = /^[+-]?nan$/i;

/**
 * The value of Python's `float(text)`, or null where it raises ValueError: decimal digits of any script, underscores between
 * digits, exponents, signed inf, infinity and nan, surrounding white space; no hexadecimal.
 *
 * @see https://docs.python.org/3/library/functions.html#float
 */
export function parsePythonFloat(text: string): number | null {
  const ascii = asciiDigits(trimmed(text));
  if (DECIMAL.test(ascii)) return Number(ascii.replaceAll('_', ''));
  if (INFINITY.test(ascii)) return ascii.startsWith('-') ? -Infinity : Infinity;
  return NAN.test(ascii) ? NaN : null;
}

/** The text without the white space around it. */
function trimmed(text: string): string {
  let [start, end] = [0, text.length];
  while (start < end && SPACE.test(text[start]!)) start += 1;
  while (start < end && SPACE.test(text[end - 1]!)) end -= 1;
  return text.slice(start, end);
}

/** The text with the decimal digits of any script as ASCII. */
export function asciiDigits(text: string): string {
  return text.replace(/(?!\d)\p{Nd}/gu, decimalValue);
}

const known = new Map<string, string>();

/** The ASCII digit of a decimal digit: Unicode encodes them in contiguous runs, each from 0 to 9. */
function decimalValue(digit: string): string {
  const value = known.get(digit) ?? String(placeInRun(digit.codePointAt(0)!) % 10);
  known.set(digit, value);
  return value;
}

function placeInRun(codePoint: number): number {
  let first = codePoint;
  while (/\p{Nd}/u.test(String.fromCodePoint(first - 1))) first -= 1;
  return codePoint - first;
}

/**
 * The text of Python's `str` for a float, except that a whole number is written as an int, digit by digit.
 *
 * Both languages write the shortest digits that read back as the same number; they differ in when they switch to
 * exponents, and in the exponent's form.
 */
export function formatPythonNumber(value: number): string {
  if (Number.isInteger(value)) return BigInt(value).toString();
  if (Number.isNaN(value)) return 'nan';
  if (!Number.isFinite(value)) return value > 0 ? 'inf' : '-inf';
  if (Math.abs(value) >= 1e-4) return String(value);
  const [mantissa, exponent] = value.toExponential().split('e-');
  return `${mantissa}e-${exponent!.padStart(2, '0')}`;
}
