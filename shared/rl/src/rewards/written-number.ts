import { plainForm } from './plain-form';

/** A number as people write it. */
export interface WrittenNumber {
  value: number;
  isPercent: boolean;
}

/** Length of an answer at most; a longer text is searched for numbers at its end only. */
const LONGEST = 256;
const SEPARATOR = "[,'\u2019_\u00a0\u2009\u202f]";
const WHOLE = `(?:\\d{1,3}(?:${SEPARATOR}\\d{3})+(?!\\d)|\\d{1,2}(?:,\\d{2})+,\\d{3}(?!\\d)|\\d+)`;
const DECIMAL = `(?:${WHOLE}(?:\\.\\d+)?|\\.\\d+)`;
const SIGN = '(?:(?<![\\p{L}\\d.)\\]}%^_/])(?<sign>[+-]))?';
/** No digits of a name, an exponent, an index, or the rest of another number. */
const BEFORE = '(?<![\\p{L}\\d.^_/]|[\\^_]\\{-?|\\^-)';
const MIXED = '(?<whole>\\d+)\\s(?:and\\s)?(?<part>\\d+)\\s?/\\s?(?<parts>\\d+)';
const FRACTION = `(?<above>${DECIMAL})\\s?/\\s?(?<sign2>-?)(?<below>${DECIMAL})`;
const POWER = '\\^\\s?\\{?\\s?(?<power>[+-]?\\d+)\\s?\\}?';
const SCALE = '(?:[eE](?<e>[+-]?\\d+)|\\s?[*xX]\\s?10\\s?\\^\\s?\\{?\\s?(?<ten>[+-]?\\d+)\\s?\\}?)';
const AFTER = '(?!\\d|\\.\\d|\\s?/\\s?\\d)';
const SUFFIX = '(?:\\s?(?<percent>%|per\\s?cent\\b)|\\s(?<multiple>thousand|million|billion|trillion)\\b)?';
const NUMBER = new RegExp(
  `${SIGN}${BEFORE}(?:${MIXED}|${FRACTION}|(?<plain>${DECIMAL})(?:${SCALE}|${POWER})?)${AFTER}${SUFFIX}`,
  'giu',
);
const MULTIPLES: Readonly<Record<string, number>> = {
  thousand: 1e3,
  million: 1e6,
  billion: 1e9,
  trillion: 1e12,
};
/** Signs that a number is part of an expression: arithmetic, an inequality, a variable, other digits. */
const NOT_A_UNIT = /[+*=<>√π∞\\!|]|(?<![\p{L}_^])\d|^[a-z](?![\p{L}^/])|^\s*[/^(]/u;

/**
 * The one number of a short text, words and units around it aside; of an equation, that of its right side. Null for a text with
 * none or several, and for one in which the number is part of an expression.
 */
export function writtenNumber(text: string): WrittenNumber | null {
  if (text.length > LONGEST) return null;
  const plain = spacedAsThousands(plainForm(text));
  const side = plain.slice(plain.lastIndexOf('=') + 1).replace(/^\s*-\s+(?=[\d.])/, '-');
  const [match, another] = side.matchAll(NUMBER);
  if (match === undefined || another !== undefined) return null;
  const [before, after] = [side.slice(0, match.index), side.slice(match.index + match[0].length)];
  return NOT_A_UNIT.test(before) || NOT_A_UNIT.test(after) ? null : numberOf(match);
}

/** The last number of a text, however long it is; null without one near its last digit. */
export function lastNumber(text: string): WrittenNumber | null {
  let end = text.length;
  while (end > 0 && !/[\p{Nd}¼-¾⅐-⅞]/u.test(text[end - 1]!)) end -= 1;
  if (end === 0) return null;
  const start = Math.max(0, end - LONGEST);
  const last = [...plainForm(text.slice(start, end + 16)).matchAll(NUMBER)].at(-1);
  const isCutOff = start > 0 && last?.index === 0;
  return last === undefined || isCutOff ? null : numberOf(last);
}

/** `12 345 678`, where nothing else is, with its spaces as separators. */
function spacedAsThousands(text: string): string {
  return /^\D*\d{1,3}(?: \d{3})+(?!\d|\s?\/)/.test(text)
    ? text.replace(/(?<=\d) (?=\d{3}(?!\d))/g, '\u2009')
    : text;
}

function numberOf({ groups = {} }: RegExpExecArray): WrittenNumber {
  const { sign, percent, multiple, sign2 } = groups;
  const factor = multiple === undefined ? 1 : MULTIPLES[multiple.toLowerCase()]!;
  const isNegative = (sign === '-') !== (sign2 === '-');
  return { value: (isNegative ? -1 : 1) * magnitude(groups) * factor, isPercent: percent !== undefined };
}

function magnitude(groups: Readonly<Record<string, string | undefined>>): number {
  const { whole, part, parts, above, below, plain, e, ten, power } = groups;
  if (whole !== undefined) return Number(whole) + Number(part) / Number(parts);
  if (above !== undefined) return decimal(above) / decimal(below!);
  const value = decimal(plain!);
  const exponent = e ?? ten;
  if (exponent !== undefined) return Number(`${value}e${exponent}`);
  return power === undefined ? value : value ** Number(power);
}

function decimal(text: string): number {
  return Number(text.replace(/[^\d.]/g, ''));
}
