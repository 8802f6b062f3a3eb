import { formatted } from './format';
import { printed } from './printed';
import {
  argument,
  bool,
  integer,
  integerArgument,
  isList,
  isText,
  itemsOf,
  list,
  text,
  textArgument,
  tuple,
  type Args,
  type Value,
} from './value';

/** The characters Python's `strip` and `split` take for spaces. */
const SPACE = '[\\t-\\r\\x1c-\\x20\\x85\\xa0\\u1680\\u2000-\\u200a\\u2028\\u2029\\u202f\\u205f\\u3000]';
const SPACES = new RegExp(`${SPACE}+`, 'u');
const SPACES_BEFORE = new RegExp(`^${SPACE}+`, 'u');
const LINE_END = /\r\n|[\n\v\f\r\x1c-\x1e\x85\u2028\u2029]/u;

type Method = (self: string, args: Args) => Value;

/** `self` without the characters of `characters`, or spaces, at its start and end. */
export function stripped(
  self: string,
  characters: string | undefined,
  side: 'both' | 'start' | 'end',
): string {
  const isCut = (character: string): boolean =>
    characters === undefined ? SPACES.test(character) : characters.includes(character);
  const all = [...self];
  let from = 0;
  let to = all.length;
  if (side !== 'end') while (from < to && isCut(all[from]!)) from += 1;
  if (side !== 'start') while (to > from && isCut(all[to - 1]!)) to -= 1;
  return all.slice(from, to).join('');
}

export function capitalized(self: string): string {
  const [first = '', ...rest] = self;
  return first.toUpperCase() + rest.join('').toLowerCase();
}

/** Every run of letters with a large first letter. */
export function titled(self: string): string {
  return self.replace(/[\p{L}\p{M}]+/gu, (word) => capitalized(word));
}

export function replaced(self: string, old: string, by: string, count: number): string {
  const parts = old === '' ? ['', ...self, ''] : self.split(old);
  const most = count < 0 ? parts.length - 1 : Math.min(count, parts.length - 1);
  const head = parts.slice(0, most + 1).join(by);
  const tail = parts.slice(most + 1);
  return tail.length === 0 ? head : head + old + tail.join(old);
}

function split(self: string, args: Args): string[] {
  const separator = textArgument(args, 0, 'sep');
  const most = integerArgument(args, 1, 'maxsplit', -1);
  if (separator === undefined) return splitAtSpaces(self, most);
  if (separator === '') throw new Error('split: the separator is empty');
  const parts = self.split(separator);
  if (most < 0 || parts.length <= most + 1) return parts;
  return [...parts.slice(0, most), parts.slice(most).join(separator)];
}

function splitAtSpaces(self: string, most: number): string[] {
  const parts: string[] = [];
  let rest = self.replace(SPACES_BEFORE, '');
  while (rest !== '') {
    const space = most >= 0 && parts.length === most ? null : SPACES.exec(rest);
    parts.push(space === null ? rest : rest.slice(0, space.index));
    rest = space === null ? '' : rest.slice(space.index + space[0].length);
  }
  return parts;
}

function rsplit(self: string, args: Args): string[] {
  const most = integerArgument(args, 1, 'maxsplit', -1);
  if (most < 0) return split(self, args);
  const separator = textArgument(args, 0, 'sep');
  if (separator !== undefined) {
    const parts = split(self, {
      positional: args.positional.slice(0, 1),
      named: new Map(args.named).set('maxsplit', integer(-1)),
    });
    const cut = Math.max(0, parts.length - most);
    return cut <= 1 ? parts : [parts.slice(0, cut).join(separator), ...parts.slice(cut)];
  }
  const backwards = splitAtSpaces([...self].reverse().join(''), most);
  return backwards.map((part) => [...part].reverse().join('')).reverse();
}

/** Where `part` stands, counted in characters; -1 for nowhere. */
function found(self: string, args: Args, where: 'first' | 'last'): number {
  const part = required(args, 'sub');
  const all = [...self];
  const [start, end] = range(all.length, args);
  const within = all.slice(start, end).join('');
  const at = where === 'first' ? within.indexOf(part) : within.lastIndexOf(part);
  return at < 0 ? -1 : start + [...within.slice(0, at)].length;
}

function range(length: number, args: Args): [start: number, end: number] {
  const clamped = (i: number): number => (i < 0 ? Math.max(0, length + i) : Math.min(i, length));
  return [clamped(integerArgument(args, 1, 'start', 0)), clamped(integerArgument(args, 2, 'end', length))];
}

function required(args: Args, name: string, i = 0): string {
  const value = textArgument(args, i, name);
  if (value === undefined) throw new Error(`${name}: found nothing, expected text`);
  return value;
}

function isOneOf(args: Args, test: (part: string) => boolean): Value {
  const given = argument(args, 0, 'prefix');
  const parts = isList(given) ? given.value : [given];
  return bool(parts.some((part) => isText(part) && test(part.value)));
}

function partitioned(self: string, separator: string, where: 'first' | 'last'): Value {
  const at = where === 'first' ? self.indexOf(separator) : self.lastIndexOf(separator);
  const whole = where === 'first' ? [self, '', ''] : ['', '', self];
  const parts = at < 0 ? whole : [self.slice(0, at), separator, self.slice(at + separator.length)];
  return tuple(parts.map(text));
}

/** Text filled up to a width with `fill` before and behind. */
export function justified(
  self: string,
  width: number,
  fill: string,
  side: 'before' | 'behind' | 'both',
): string {
  const length = [...self].length;
  const room = Math.max(0, width - length);
  // Python puts the odd one before the text when width and room are odd.
  const half = Math.floor(room / 2) + (room & width & 1);
  const before = side === 'before' ? room : side === 'both' ? half : 0;
  return fill.repeat(before) + self + fill.repeat(room - before);
}

const justify =
  (side: 'before' | 'behind' | 'both'): Method =>
  (self, args) =>
    text(
      justified(self, integerArgument(args, 0, 'width', 0), textArgument(args, 1, 'fillchar') ?? ' ', side),
    );

/** True for a text of one character or more that all match. */
const every =
  (pattern: RegExp): Method =>
  (self) =>
    bool(self !== '' && [...self].every((character) => pattern.test(character)));

function swappedCase(self: string): string {
  return [...self].map((c) => (c === c.toLowerCase() ? c.toUpperCase() : c.toLowerCase())).join('');
}

function joined(self: string, args: Args): string {
  const items = itemsOf(args.positional[0]!) ?? [];
  return items
    .map((item) => {
      if (isText(item)) return item.value;
      throw new Error(`join: found ${printed(item)}, expected text`);
    })
    .join(self);
}

/** Methods of Python's `str`. */
export const TEXT_METHODS: ReadonlyMap<string, Method> = new Map<string, Method>(
  Object.entries({
    capitalize: (self) => text(capitalized(self)),
    center: justify('both'),
    count: (self, args) => integer(self.split(required(args, 'sub')).length - 1),
    endswith: (self, args) => isOneOf(args, (part) => self.endsWith(part)),
    find: (self, args) => integer(found(self, args, 'first')),
    format: (self, args) => text(formatted(self, args)),
    index: (self, args) => {
      const at = found(self, args, 'first');
      if (at < 0) throw new Error(`index: ${JSON.stringify(required(args, 'sub'))} is not in the text`);
      return integer(at);
    },
    isalnum: every(/[\p{L}\p{N}]/u),
    isalpha: every(/\p{L}/u),
    isdigit: every(/[\p{Nd}\u00b2\u00b3\u00b9\u2070-\u2079\u2080-\u2089]/u),
    islower: (self) => bool(self !== self.toUpperCase() && self === self.toLowerCase()),
    isspace: every(SPACES),
    isupper: (self) => bool(self !== self.toLowerCase() && self === self.toUpperCase()),
    join: (self, args) => text(joined(self, args)),
    ljust: justify('behind'),
    lower: (self) => text(self.toLowerCase()),
    lstrip: (self, args) => text(stripped(self, textArgument(args, 0, 'chars'), 'start')),
    partition: (self, args) => partitioned(self, required(args, 'sep'), 'first'),
    removeprefix: (self, args) => {
      const prefix = required(args, 'prefix');
      return text(self.startsWith(prefix) ? self.slice(prefix.length) : self);
    },
    removesuffix: (self, args) => {
      const suffix = required(args, 'suffix');
      return text(self.endsWith(suffix) ? self.slice(0, self.length - suffix.length) : self);
    },
    replace: (self, args) =>
      text(
        replaced(
          self,
          required(args, 'old'),
          required(args, 'new', 1),
          integerArgument(args, 2, 'count', -1),
        ),
      ),
    rfind: (self, args) => integer(found(self, args, 'last')),
    rjust: justify('before'),
    rpartition: (self, args) => partitioned(self, required(args, 'sep'), 'last'),
    rsplit: (self, args) => list(rsplit(self, args).map(text)),
    rstrip: (self, args) => text(stripped(self, textArgument(args, 0, 'chars'), 'end')),
    split: (self, args) => list(split(self, args).map(text)),
    splitlines: (self) => {
      const lines = self.split(LINE_END);
      return list((lines.at(-1) === '' ? lines.slice(0, -1) : lines).map(text));
    },
    startswith: (self, args) => isOneOf(args, (part) => self.startsWith(part)),
    strip: (self, args) => text(stripped(self, textArgument(args, 0, 'chars'), 'both')),
    swapcase: (self) => text(swappedCase(self)),
    title: (self) => text(titled(self)),
    upper: (self) => text(self.toUpperCase()),
    zfill: (self, args) => {
      const sign = /^[-+]/u.exec(self)?.[0] ?? '';
      const width = integerArgument(args, 0, 'width', 0);
      return text(sign + justified(self.slice(sign.length), width - sign.length, '0', 'before'));
    },
  } satisfies Record<string, Method>),
);
