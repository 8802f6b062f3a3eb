import { areEqual, compared, holds } from './operators';
import {
  isBool,
  isCallable,
  isDict,
  isFloat,
  isInteger,
  isMissing,
  isNone,
  isText,
  itemsOf,
  numberOf,
  type Value,
} from './value';

type Test = (value: Value, other: Value) => boolean;

const remainder = (value: Value, divisor: number): number => {
  const number = numberOf(value);
  if (number === undefined) throw new Error('a test for numbers is given something else');
  return number - divisor * Math.floor(number / divisor);
};
const isEqual: Test = areEqual;
const isLess: Test = (a, b) => compared(a, b) < 0;
const isMore: Test = (a, b) => compared(a, b) > 0;

/** Jinja's tests: what may follow `is`, and what `selectattr` and its like are given. */
export const TESTS: ReadonlyMap<string, Test> = new Map<string, Test>(
  Object.entries({
    boolean: isBool,
    callable: isCallable,
    defined: (value) => !isMissing(value),
    divisibleby: (value, other) => remainder(value, numberOf(other)!) === 0,
    eq: isEqual,
    equalto: isEqual,
    even: (value) => remainder(value, 2) === 0,
    false: (value) => isBool(value) && value.value === false,
    float: isFloat,
    ge: (a, b) => compared(a, b) >= 0,
    greaterthan: isMore,
    gt: isMore,
    in: (value, container) => holds(container, value),
    integer: isInteger,
    iterable: (value) => itemsOf(value) !== undefined,
    le: (a, b) => compared(a, b) <= 0,
    lessthan: isLess,
    lower: (value) => isText(value) && value.value === value.value.toLowerCase(),
    lt: isLess,
    mapping: isDict,
    ne: (a, b) => !areEqual(a, b),
    none: isNone,
    number: (value) => numberOf(value) !== undefined,
    odd: (value) => remainder(value, 2) === 1,
    sequence: (value) => itemsOf(value) !== undefined,
    string: isText,
    true: (value) => isBool(value) && value.value === true,
    undefined: isMissing,
    upper: (value) => isText(value) && value.value === value.value.toUpperCase(),
  } satisfies Record<string, Test>),
);

/** @throws {Error} naming a test that we do not have. */
export function testOf(name: string): Test {
  const test = TESTS.get(name);
  if (test === undefined) throw new Error(`test ${name}, which is not supported`);
  return test;
}
