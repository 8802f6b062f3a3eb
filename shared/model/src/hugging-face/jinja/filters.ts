import { DICT_METHODS, entriesOf } from './container-methods';
import { printf } from './format';
import { areEqual, compared } from './operators';
import { printed } from './printed';
import { testOf } from './tests';
import { TEXT_METHODS, justified, replaced, stripped } from './text-methods';
import { toJson } from './to-json';
import {
  argument,
  float,
  integer,
  integerArgument,
  isDict,
  isInteger,
  isList,
  isMissing,
  isNamespace,
  isText,
  isTrue,
  itemsOf,
  kindOf,
  list,
  missing,
  numberOf,
  text,
  textArgument,
  tuple,
  type Args,
  type List,
  type Value,
} from './value';

type Filter = (value: Value, args: Args) => Value;

const NO_ARGS: Args = { positional: [], named: new Map() };
const rest = ({ positional, named }: Args, from: number): Args => ({
  positional: positional.slice(from),
  named,
});

function items(value: Value): readonly Value[] {
  const found = itemsOf(value);
  if (found === undefined) throw new Error(`a filter for lists is given ${kindOf(value)}`);
  return found;
}

/** Filters that go through items one by one do nothing with none. */
function itemsOrNone(value: Value): readonly Value[] {
  return isTrue(value) ? items(value) : [];
}

function isSet(args: Args, i: number, name: string): boolean {
  const flag = argument(args, i, name);
  return flag !== undefined && isTrue(flag);
}

/** The attribute of `value` at a path such as `function.name`. */
function attribute(value: Value, path: Value): Value {
  const steps = isText(path) ? path.value.split('.') : [printed(path)];
  return steps.reduce<Value>((at, step) => {
    if (isDict(at) || isNamespace(at)) return at.value.get(step) ?? missing;
    return (isList(at) ? at.value[Number(step)] : undefined) ?? missing;
  }, value);
}

/** `value` in small letters where it is text: filters that compare take no notice of case unless asked to. */
function folded(value: Value, args: Args, i: number): Value {
  return isText(value) && !isSet(args, i, 'case_sensitive') ? text(value.value.toLowerCase()) : value;
}

/** Items that pass a test named at position `i` of the arguments, of themselves or of an attribute. */
const selected =
  (isKept: boolean, ofAttribute: boolean): Filter =>
  (value, args) => {
    const path = ofAttribute ? args.positional[0] : undefined;
    const [name, other] = args.positional.slice(ofAttribute ? 1 : 0);
    const test = isText(name) ? testOf(name.value) : isTrue;
    const tested = (item: Value): Value => (path === undefined ? item : attribute(item, path));
    return list(itemsOrNone(value).filter((item) => test(tested(item), other ?? missing) === isKept));
  };

function mapped(value: Value, args: Args): Value {
  const path = args.named.get('attribute');
  if (path !== undefined) {
    const otherwise = args.named.get('default') ?? missing;
    return list(
      itemsOrNone(value).map((item) => {
        const found = attribute(item, path);
        return isMissing(found) ? otherwise : found;
      }),
    );
  }
  const [name] = args.positional;
  if (!isText(name)) throw new Error('map: found no filter and no attribute');
  const filter = filterOf(name.value);
  return list(itemsOrNone(value).map((item) => filter(item, rest(args, 1))));
}

const extreme =
  (sign: number): Filter =>
  (value, args) => {
    const path = argument(args, 1, 'attribute');
    const key = (item: Value): Value => folded(path === undefined ? item : attribute(item, path), args, 0);
    return items(value).reduce<Value>(
      (best, item) => (isMissing(best) || sign * compared(key(item), key(best)) > 0 ? item : best),
      missing,
    );
  };

function sorted(value: Value, args: Args): Value {
  const path = argument(args, 2, 'attribute');
  const sign = isSet(args, 0, 'reverse') ? -1 : 1;
  const key = (item: Value): Value => folded(path === undefined ? item : attribute(item, path), args, 1);
  return list([...items(value)].sort((a, b) => sign * compared(key(a), key(b))));
}

function dictSorted(value: Value, args: Args): Value {
  if (!isDict(value)) throw new Error(`dictsort: found ${kindOf(value)}, expected a mapping`);
  const by = textArgument(args, 1, 'by') === 'value' ? 1 : 0;
  const sign = isSet(args, 2, 'reverse') ? -1 : 1;
  const key = (pair: Value): Value => folded((pair as List).value[by]!, args, 0);
  return list([...entriesOf(value).value].sort((a, b) => sign * compared(key(a), key(b))));
}

function unique(value: Value, args: Args): Value {
  const path = argument(args, 1, 'attribute');
  const key = (item: Value): Value => folded(path === undefined ? item : attribute(item, path), args, 0);
  const kept: Value[] = [];
  for (const item of items(value))
    if (!kept.some((other) => areEqual(key(other), key(item)))) kept.push(item);
  return list(kept);
}

function toInteger(value: Value, args: Args): Value {
  const number = numberOf(value);
  if (number !== undefined) return integer(Math.trunc(number));
  if (isMissing(value)) throw new Error('int of something undefined');
  const shown = isText(value) ? value.value.trim() : '';
  if (/^[-+]?\d+(\.\d*)?$/u.test(shown)) return integer(Math.trunc(Number(shown)));
  return argument(args, 0, 'default') ?? integer(0);
}

function toFloat(value: Value, args: Args): Value {
  const number = numberOf(value);
  if (number !== undefined) return float(number);
  if (isMissing(value)) throw new Error('float of something undefined');
  const shown = isText(value) ? value.value.trim() : '';
  if (/^[-+]?(\d+\.?\d*|\.\d+)(e[-+]?\d+)?$/iu.test(shown)) return float(Number(shown));
  return argument(args, 0, 'default') ?? float(0);
}

/** Half to even, as Python rounds. */
function rounded(value: Value, args: Args): Value {
  const number = numberOf(value);
  if (number === undefined) throw new Error(`round: found ${kindOf(value)}, expected a number`);
  const scale = 10 ** integerArgument(args, 0, 'precision', 0);
  const method = textArgument(args, 1, 'method') ?? 'common';
  if (method === 'ceil') return float(Math.ceil(number * scale) / scale);
  if (method === 'floor') return float(Math.floor(number * scale) / scale);
  const [scaled, below] = [number * scale, Math.floor(number * scale)];
  const isHalf = scaled - below === 0.5;
  return float((isHalf ? below + (below & 1) : Math.round(scaled)) / scale);
}

function length(value: Value): Value {
  return integer(isText(value) ? [...value.value].length : items(value).length);
}

function reversed(value: Value): Value {
  if (isText(value)) return text([...value.value].reverse().join(''));
  return list([...items(value)].reverse());
}

function indented(self: string, args: Args): string {
  const width = argument(args, 0, 'width');
  const margin = isText(width) ? width.value : ' '.repeat(integerArgument(args, 0, 'width', 4));
  const [isFirst, isBlank] = [isSet(args, 1, 'first'), isSet(args, 2, 'blank')];
  const lines = self.split(/\r\n|[\n\r]/u);
  return lines
    .map((line, i) => ((i === 0 ? isFirst : line !== '' || isBlank) ? margin + line : line))
    .join('\n');
}

const joined: Filter = (value, args) => {
  const path = argument(args, 1, 'attribute');
  const shown = items(value).map((item) => printed(path === undefined ? item : attribute(item, path)));
  return text(shown.join(textArgument(args, 0, 'd') ?? ''));
};

const defaulted: Filter = (value, args) => {
  const isReplaced = isMissing(value) || (isSet(args, 1, 'boolean') && !isTrue(value));
  return isReplaced ? (argument(args, 0, 'default_value') ?? text('')) : value;
};

/** A filter of the text that a value is printed as. */
const ofText =
  (filter: (self: string, args: Args) => Value): Filter =>
  (value, args) =>
    filter(printed(value), args);
const method = (name: string): Filter => ofText((self) => TEXT_METHODS.get(name)!(self, NO_ARGS));

function total(value: Value, args: Args): Value {
  const path = argument(args, 0, 'attribute');
  const summed = items(value).map((item) => (path === undefined ? item : attribute(item, path)));
  const sum = summed.reduce(
    (all, item) => all + (numberOf(item) ?? NaN),
    numberOf(argument(args, 1, 'start')) ?? 0,
  );
  if (Number.isNaN(sum)) throw new Error('sum: found something other than numbers');
  return summed.every(isInteger) ? integer(sum) : float(sum);
}

/** Jinja's filters, without the few that are for web pages or draw at random. */
const FILTERS: ReadonlyMap<string, Filter> = new Map<string, Filter>(
  Object.entries({
    abs: (value) =>
      isInteger(value) ? integer(Math.abs(value.value)) : float(Math.abs(numberOf(value) ?? NaN)),
    capitalize: method('capitalize'),
    center: ofText((self, args) => text(justified(self, integerArgument(args, 0, 'width', 80), ' ', 'both'))),
    count: length,
    d: defaulted,
    default: defaulted,
    dictsort: dictSorted,
    first: (value) => items(value)[0] ?? missing,
    float: toFloat,
    format: ofText((self, { positional }) => text(printf(self, tuple(positional)))),
    indent: ofText((self, args) => text(indented(self, args))),
    int: toInteger,
    items: (value) => {
      if (isDict(value)) return DICT_METHODS.get('items')!(value, NO_ARGS);
      if (isMissing(value)) return list([]);
      throw new Error(`items: found ${kindOf(value)}, expected a mapping`);
    },
    join: joined,
    last: (value) => items(value).at(-1) ?? missing,
    length,
    list: (value) => list(items(value)),
    lower: method('lower'),
    map: mapped,
    max: extreme(1),
    min: extreme(-1),
    reject: selected(false, false),
    rejectattr: selected(false, true),
    replace: ofText((self, args) => {
      const by = [0, 1].map((i) => printed(argument(args, i, i === 0 ? 'old' : 'new') ?? missing)) as [
        string,
        string,
      ];
      return text(replaced(self, ...by, integerArgument(args, 2, 'count', -1)));
    }),
    reverse: reversed,
    round: rounded,
    safe: ofText(text),
    select: selected(true, false),
    selectattr: selected(true, true),
    sort: sorted,
    string: ofText(text),
    sum: total,
    title: method('title'),
    tojson: (value, args) => text(toJson(value, args)),
    trim: ofText((self, args) => text(stripped(self, textArgument(args, 0, 'chars'), 'both'))),
    unique,
    upper: method('upper'),
  } satisfies Record<string, Filter>),
);

/** @throws {Error} naming a filter that we do not have. */
export function filterOf(name: string): Filter {
  const filter = FILTERS.get(name);
  if (filter === undefined) throw new Error(`filter ${name}, which is not supported`);
  return filter;
}
