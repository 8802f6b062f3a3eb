import {
  isBool,
  isDict,
  isFloat,
  isInteger,
  isList,
  isMissing,
  isNone,
  isText,
  isTuple,
  keyValue,
  kindOf,
  type Value,
} from './value';

/** `value` as Python's `str` writes it; nothing for a value that is missing. */
export function printed(value: Value): string {
  if (isText(value)) return value.value;
  return isMissing(value) ? '' : represented(value);
}

/** `value` as Python's `repr` writes it. */
export function represented(value: Value): string {
  if (isText(value)) return quoted(value.value);
  if (isInteger(value)) return String(value.value);
  if (isFloat(value)) return floatText(value.value);
  if (isBool(value)) return value.value === true ? 'True' : 'False';
  if (isNone(value)) return 'None';
  if (isMissing(value)) return 'Undefined';
  if (isTuple(value)) {
    const items = value.value.map(represented);
    return items.length === 1 ? `(${items[0]},)` : `(${items.join(', ')})`;
  }
  if (isList(value)) return `[${value.value.map(represented).join(', ')}]`;
  if (isDict(value)) {
    return `{${[...value.value].map(([key, item]) => `${represented(keyValue(key))}: ${represented(item)}`).join(', ')}}`;
  }
  throw new Error(`${kindOf(value)} has no text`);
}

/** A float with the shortest digits that give it back, in Python's notation. */
export function floatText(value: number): string {
  if (Number.isNaN(value)) return 'nan';
  if (!Number.isFinite(value)) return value > 0 ? 'inf' : '-inf';
  if (Object.is(value, -0)) return '-0.0';
  const magnitude = Math.abs(value);
  if (magnitude !== 0 && (magnitude < 1e-4 || magnitude >= 1e16))
    return pythonExponent(value.toExponential());
  return Number.isInteger(value) ? value.toFixed(1) : String(value);
}

/** An exponent of two digits at least. */
export function pythonExponent(exponential: string): string {
  return exponential.replace(/e([+-])(\d)$/, 'e$10$2');
}

const ESCAPES: Readonly<Record<string, string>> = { '\\': '\\\\', '\n': '\\n', '\r': '\\r', '\t': '\\t' };
const UNPRINTABLE = /[\p{Cc}\p{Cf}\p{Cs}\p{Co}\p{Cn}\p{Zl}\p{Zp}]|(?! )\p{Zs}/u;

function quoted(value: string): string {
  const quote = value.includes("'") && !value.includes('"') ? '"' : "'";
  const escaped = [...value].map((character) => {
    if (character === quote) return `\\${quote}`;
    const known = ESCAPES[character];
    if (known !== undefined) return known;
    return UNPRINTABLE.test(character) ? escapedCode(character.codePointAt(0)!) : character;
  });
  return quote + escaped.join('') + quote;
}

function escapedCode(code: number): string {
  const hex = code.toString(16);
  if (code <= 0xff) return `\\x${hex.padStart(2, '0')}`;
  return code <= 0xffff ? `\\u${hex.padStart(4, '0')}` : `\\U${hex.padStart(8, '0')}`;
}
