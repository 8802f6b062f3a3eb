import { asciiDigits } from './python-float';

const SUPERSCRIPT = /[⁺⁻]?[⁰¹²³⁴-⁹]+/gu;
const VULGAR_FRACTION = /[¼-¾⅐-⅞]/gu;
const FULL_WIDTH = /[！-～]/gu;
/** Hyphens, dashes and minus signs. */
const MINUS = /[\u2010-\u2015\u2212\ufe58\ufe63]/gu;
const CURRENCY =
  /\p{Sc}|(?<!\p{L})(?:USD|EUR|GBP|JPY|CNY|INR|CHF|CAD|AUD|US(?=\$)|Rs\.?)(?=[\s\p{Sc}]?[\d.-])/gu;
const FRAC = /\\[dtc]?frac\s?(?:\{([^{}]*)\}|(\d))\s?(?:\{([^{}]*)\}|(\d))/g;

/** LaTeX that only sets type, in the order it is undone. */
const TYPESETTING: readonly [RegExp, string][] = [
  [/\{,\}/g, ','],
  [/\\!/g, ''],
  [/\\[,;:]|~/g, '\u2009'],
  [/\\(?:left|right|displaystyle|q?quad)(?![a-zA-Z])|\\[()[\]]|\\ /g, ' '],
  [/\\(?:text(?:bf|it|rm)?|math(?:rm|bf|it)|mbox|operatorname)\s?\{([^{}]*)\}/g, ' $1 '],
  [/\\([$%#&_{}])/g, '$1'],
  [/\^\{?\\circ\}?|\\degree(?![a-zA-Z])/g, '°'],
  [/\\(?:times|cdot)(?![a-zA-Z])|[×·⋅∙]/g, '*'],
  [/\\(?:approx|equiv|simeq)(?![a-zA-Z])|[≈≡]/g, '='],
  [/\\pi(?![a-zA-Z])/g, 'π'],
  [/\\sqrt(?![a-zA-Z])/g, '√'],
];

/**
 * A text in the form programs read: signs and digits of ASCII, LaTeX that only sets type undone, fractions as `a/b`, powers
 * as `^`, and neither currency signs nor Markdown's emphasis. A thin space stands where LaTeX spaces out digits.
 */
export function plainForm(text: string): string {
  const ascii = asciiDigits(text)
    .replace(SUPERSCRIPT, (digits) => `^${digits.normalize('NFKC').replace('\u2212', '-')}`)
    .replace(VULGAR_FRACTION, (fraction) => ` ${fraction.normalize('NFKC')} `)
    .replace(FULL_WIDTH, (character) => String.fromCharCode(character.charCodeAt(0) - 0xfee0))
    .replace(/[\u2044\u2215]/g, '/')
    .replace(MINUS, '-');
  const unset = TYPESETTING.reduce((before, [pattern, by]) => before.replace(pattern, by), ascii);
  return unset
    .replace(FRAC, (_match, ...groups: unknown[]) => fraction(groups))
    .replace(/\*\*|__|`/g, '')
    .replace(/-\s?(?=\p{Sc})/gu, '-')
    .replace(CURRENCY, (sign, at: number, whole: string) => (whole[at - 1] === '-' ? '' : ' '));
}

/** The plain form of a `\frac`, set off from the whole number in front of it. */
function fraction(groups: readonly unknown[]): string {
  const [above, aboveDigit, below, belowDigit, at, whole] = groups as [
    string?,
    string?,
    string?,
    string?,
    number?,
    string?,
  ];
  const isMixed = /\d/.test(whole?.[(at ?? 0) - 1] ?? '');
  return `${isMixed ? ' ' : ''}${above ?? aboveDigit}/${below ?? belowDigit}`;
}
