import { printf } from './format';
import { printed } from './printed';
import {
  bool,
  float,
  integer,
  isDict,
  isFloat,
  isInteger,
  isList,
  isMissing,
  isNamespace,
  isText,
  isTuple,
  itemsOf,
  keyOf,
  kindOf,
  list,
  numberOf,
  text,
  tuple,
  type Value,
} from './value';

/** Whether two values are equal as Python compares them, lists and mappings by what they hold. */
export function areEqual(a: Value, b: Value): boolean {
  const [x, y] = [numberOf(a), numberOf(b)];
  if (x !== undefined && y !== undefined) return x === y;
  if (isList(a) && isList(b)) {
    const [left, right] = [a.value, b.value];
    return (
      a.type === b.type && left.length === right.length && left.every((item, i) => areEqual(item, right[i]!))
    );
  }
  if (isDict(a) && isDict(b)) {
    const other = b.value;
    return (
      a.value.size === other.size &&
      [...a.value].every(([key, item]) => other.has(key) && areEqual(item, other.get(key)!))
    );
  }
  return a.type === b.type && a.value === b.value;
}

/** Below 0 when `a` comes before `b`, above 0 when behind it. */
export function compared(a: Value, b: Value): number {
  const [x, y] = [numberOf(a), numberOf(b)];
  if (x !== undefined && y !== undefined) return x - y;
  if (isText(a) && isText(b)) return comparedText([...a.value], [...b.value]);
  if (isList(a) && isList(b) && a.type === b.type) {
    const right = b.value;
    const at = a.value.findIndex((item, i) => i >= right.length || !areEqual(item, right[i]!));
    if (at < 0) return a.value.length - right.length;
    return at >= right.length ? 1 : compared(a.value[at]!, right[at]!);
  }
  throw new Error(`${kindOf(a)} and ${kindOf(b)} have no order`);
}

function comparedText(a: readonly string[], b: readonly string[]): number {
  const at = a.findIndex((character, i) => character !== b[i]);
  if (at < 0) return a.length - b.length;
  return at >= b.length ? 1 : a[at]!.codePointAt(0)! - b[at]!.codePointAt(0)!;
}

/** Whether `container` holds `item`. */
export function holds(container: Value, item: Value): boolean {
  if (isText(container)) {
    if (isText(item)) return container.value.includes(item.value);
    throw new Error(`text can't hold ${kindOf(item)}`);
  }
  if (isDict(container)) {
    const key = keyOf(item);
    return key !== undefined && container.value.has(key);
  }
  const items = isNamespace(container) ? undefined : itemsOf(container);
  if (items === undefined) throw new Error(`${kindOf(container)} holds nothing`);
  return items.some((candidate) => areEqual(candidate, item));
}

/** The value of `a operator b`, for all operators but `and` and `or`. */
export function operated(operator: string, a: Value, b: Value): Value {
  switch (operator) {
    case '==':
      return bool(areEqual(a, b));
    case '!=':
      return bool(!areEqual(a, b));
    case 'in':
      return bool(holds(b, a));
    case 'not in':
      return bool(!holds(b, a));
    case '<':
      return bool(compared(a, b) < 0);
    case '<=':
      return bool(compared(a, b) <= 0);
    case '>':
      return bool(compared(a, b) > 0);
    case '>=':
      return bool(compared(a, b) >= 0);
    case '~':
      return text(printed(a) + printed(b));
    default:
      return joined(operator, a, b) ?? calculated(operator, a, b);
  }
}

/** The result of `+`, `*` and `%` on texts and lists; undefined for other operands. */
function joined(operator: string, a: Value, b: Value): Value | undefined {
  if (operator === '+') {
    if (isText(a) && isText(b)) return text(a.value + b.value);
    if (isList(a) && isList(b) && a.type === b.type) {
      const items = [...a.value, ...b.value];
      return isTuple(a) ? tuple(items) : list(items);
    }
  }
  if (operator === '%' && isText(a)) return text(printf(a.value, b));
  if (operator === '*') {
    const [repeated, times] = isInteger(b) ? [a, b.value] : isInteger(a) ? [b, a.value] : [];
    if (isText(repeated)) return text(repeated.value.repeat(Math.max(0, times!)));
    if (isList(repeated)) {
      const items = Array.from({ length: Math.max(0, times!) }, () => repeated.value).flat();
      return isTuple(repeated) ? tuple(items) : list(items);
    }
  }
  return undefined;
}

function calculated(operator: string, a: Value, b: Value): Value {
  const [x, y] = [numberOf(a), numberOf(b)];
  if (x === undefined || y === undefined) {
    const operands = [a, b].map((value) => (isMissing(value) ? 'something undefined' : kindOf(value)));
    throw new Error(`${operator} between ${operands.join(' and ')}`);
  }
  const isDivision = ['/', '//', '%'].includes(operator);
  if (isDivision && y === 0) throw new Error(`${operator} by zero`);
  const value = numeric(operator, x, y);
  if (!Number.isFinite(value)) throw new Error(`${x} ${operator} ${y} is not a finite number`);
  const isReal = isFloat(a) || isFloat(b) || operator === '/' || (operator === '**' && y < 0);
  return isReal ? float(value) : integer(value);
}

function numeric(operator: string, x: number, y: number): number {
  switch (operator) {
    case '+':
      return x + y;
    case '-':
      return x - y;
    case '*':
      return x * y;
    case '/':
      return x / y;
    case '//':
      return Math.floor(x / y);
    case '%':
      return x - y * Math.floor(x / y);
    case '**':
      return x ** y;
    default:
      throw new Error(`operator ${operator}, which is not supported`);
  }
}
