import { floatText, printed, pythonExponent, represented } from './printed';
import {
  isDict,
  isFloat,
  isInteger,
  isList,
  isTuple,
  kindOf,
  numberOf,
  type Args,
  type Value,
} from './value';

const PRINTF = /%(?:\((?<key>[^)]*)\))?(?<flags>[-+ 0#]*)(?<width>\d*)(?:\.(?<precision>\d+))?(?<kind>.)/gsu;

/** Python's `template % values`. */
export function printf(template: string, values: Value): string {
  const given = isTuple(values) ? values.value : [values];
  let next = 0;
  const result = template.replace(PRINTF, (...match: unknown[]) => {
    const { key, flags, width, precision, kind } = match.at(-1) as Record<string, string | undefined>;
    if (kind === '%') return '%';
    const value = key === undefined ? given[next++] : keyed(values, key);
    if (value === undefined) throw new Error(`${quote(template)} % has too few values`);
    const isLeft = flags!.includes('-');
    const spec: Spec = {
      fill: !isLeft && flags!.includes('0') ? '0' : ' ',
      align: isLeft ? '<' : flags!.includes('0') && kind !== 's' && kind !== 'r' ? '=' : '>',
      sign: flags!.includes('+') ? '+' : flags!.includes(' ') ? ' ' : '-',
      width: Number(width),
      grouping: '',
      precision: precision === undefined ? undefined : Number(precision),
      kind: kind!,
    };
    if (kind === 's' || kind === 'r') {
      const shown = kind === 's' ? printed(value) : represented(value);
      return padded([...shown].slice(0, spec.precision).join(''), { ...spec, fill: ' ' });
    }
    const isWhole = ['d', 'i', 'u'].includes(kind!);
    if (!isWhole && !'xXofFeEgG'.includes(kind!))
      throw new Error(`%${kind} in ${quote(template)}, which is not supported`);
    const number = numberOf(value);
    if (number === undefined) throw new Error(`%${kind}: found ${kindOf(value)}, expected a number`);
    return padded(
      numberText(isWhole ? Math.trunc(number) : number, { ...spec, kind: isWhole ? 'd' : kind! }),
      spec,
    );
  });
  if (isTuple(values) && next < given.length) throw new Error(`${quote(template)} % has too many values`);
  return result;
}

function keyed(values: Value, key: string): Value | undefined {
  return isDict(values) ? values.value.get(key) : undefined;
}

const FIELD = /\{\{|\}\}|\{(?<path>[^{}!:]*)(?:!(?<conversion>[rs]))?(?::(?<spec>[^{}]*))?\}|[{}]/gu;
const SPEC =
  /^(?:(?<fill>.)?(?<align>[<>=^]))?(?<sign>[-+ ]?)(?<zero>0?)(?<width>\d*)(?<grouping>[,_]?)(?:\.(?<precision>\d+))?(?<kind>[sdxXobfFeEgG%]?)$/su;

interface Spec {
  fill: string;
  align: string;
  sign: string;
  width: number;
  grouping: string;
  precision: number | undefined;
  kind: string;
}

/** Python's `template.format(...)`. */
export function formatted(template: string, { positional, named }: Args): string {
  let next = 0;
  return template.replace(FIELD, (whole: string, ...match: unknown[]) => {
    if (whole === '{{' || whole === '}}') return whole[0]!;
    const { path, conversion, spec } = match.at(-1) as Record<string, string | undefined>;
    if (path === undefined) throw new Error(`a single ${whole} in ${quote(template)}`);
    const [name = '', ...steps] = path.split(/\.|\[|\]\.?/u).filter((step, i) => i === 0 || step !== '');
    const root =
      name === '' ? positional[next++] : /^\d+$/u.test(name) ? positional[Number(name)] : named.get(name);
    const value = steps.reduce<Value | undefined>(member, root);
    if (value === undefined) throw new Error(`{${path}} of ${quote(template)} is not given`);
    return formattedValue(conversion === 'r' ? represented(value) : value, spec ?? '');
  });
}

function member(value: Value | undefined, step: string): Value | undefined {
  if (isDict(value)) return value.value.get(step);
  return isList(value) ? value.value[Number(step)] : undefined;
}

function formattedValue(value: Value | string, given: string): string {
  const shown = typeof value === 'string' ? value : printed(value);
  if (given === '') return shown;
  const groups = SPEC.exec(given)?.groups;
  if (groups === undefined) throw new Error(`format ${quote(given)}, which is not supported`);
  const number = typeof value === 'string' ? undefined : numberOf(value);
  const isNumber = number !== undefined;
  const spec: Spec = {
    fill: groups['fill'] ?? (groups['zero'] === '0' ? '0' : ' '),
    align: groups['align'] ?? (isNumber ? (groups['zero'] === '0' ? '=' : '>') : '<'),
    sign: groups['sign'] === '' ? '-' : groups['sign']!,
    width: Number(groups['width']),
    grouping: groups['grouping']!,
    precision: groups['precision'] === undefined ? undefined : Number(groups['precision']),
    kind: groups['kind']!,
  };
  if (isNumber && spec.kind !== 's') {
    const kind = spec.kind === '' && isInteger(value as Value) ? 'd' : spec.kind;
    if (kind === '' && spec.precision === undefined && isFloat(value as Value))
      return padded(signed(floatText(number), spec.sign), spec);
    return padded(numberText(number, { ...spec, kind: kind === '' ? 'g' : kind }), spec);
  }
  if (spec.kind !== '' && spec.kind !== 's')
    throw new Error(`format ${quote(given)} needs a number, found text`);
  return padded([...shown].slice(0, spec.precision).join(''), spec);
}

function numberText(value: number, { kind, precision, sign, grouping }: Spec): string {
  const magnitude = Math.abs(value);
  const isNegative = value < 0 || Object.is(value, -0);
  const digits = magnitudeText(magnitude, kind, precision);
  const grouped =
    grouping === ''
      ? digits
      : digits.replace(/^\d+/u, (whole) => whole.replace(/\B(?=(\d{3})+$)/gu, grouping));
  return signed((isNegative ? '-' : '') + grouped, sign);
}

function magnitudeText(value: number, kind: string, precision: number | undefined): string {
  const lower = kind.toLowerCase();
  if (lower === 'd') return String(value);
  const radix = { x: 16, o: 8, b: 2 }[lower];
  if (radix !== undefined) return inCase(value.toString(radix), kind);
  if (lower === 'f') return value.toFixed(precision ?? 6);
  if (lower === '%') return `${(100 * value).toFixed(precision ?? 6)}%`;
  if (lower === 'e') return inCase(pythonExponent(value.toExponential(precision ?? 6)), kind);
  return inCase(general(value, precision === 0 ? 1 : (precision ?? 6)), kind);
}

/** The shorter of fixed and exponent notation, without zeros at the end. */
function general(value: number, precision: number): string {
  const exponential = value.toExponential(precision - 1);
  const exponent = Number(exponential.split('e')[1]);
  const isFixed = exponent >= -4 && exponent < precision;
  const shown = isFixed ? value.toFixed(precision - 1 - exponent) : exponential;
  const [mantissa = '', rest] = shown.split('e');
  const short = mantissa.includes('.') ? mantissa.replace(/\.?0+$/u, '') : mantissa;
  return rest === undefined ? short : pythonExponent(`${short}e${rest}`);
}

const inCase = (shown: string, kind: string): string =>
  kind === kind.toUpperCase() && kind !== kind.toLowerCase() ? shown.toUpperCase() : shown;

function signed(shown: string, sign: string): string {
  return shown.startsWith('-') || sign === '-' ? shown : sign + shown;
}

/** `shown` filled up to the width. */
function padded(shown: string, { fill, align, width }: Spec): string {
  const room = Math.max(0, width - [...shown].length);
  if (align === '<') return shown + fill.repeat(room);
  if (align === '^') return fill.repeat(room >> 1) + shown + fill.repeat(room - (room >> 1));
  const sign = align === '=' ? (/^[-+ ]/u.exec(shown)?.[0] ?? '') : '';
  return sign + fill.repeat(room) + shown.slice(sign.length);
}

function quote(value: string): string {
  return JSON.stringify(value);
}
