import { areEqual } from './operators';
import {
  argument,
  dict,
  integer,
  isDict,
  isList,
  itemsOf,
  keyOf,
  keyValue,
  kindOf,
  list,
  none,
  tuple,
  type Args,
  type Dict,
  type Key,
  type List,
  type Value,
} from './value';

export const entriesOf = ({ value }: Dict): List =>
  list([...value].map(([key, item]) => tuple([keyValue(key), item])));

/** Methods of Python's `dict` that change nothing: a template can't change what it is given. */
export const DICT_METHODS: ReadonlyMap<string, (self: Dict, args: Args) => Value> = new Map(
  Object.entries({
    copy: (self: Dict) => self,
    get: ({ value }: Dict, args: Args) => {
      const key = keyOf(args.positional[0]);
      const item = key === undefined ? undefined : value.get(key);
      return item ?? argument(args, 1, 'default') ?? none;
    },
    items: (self: Dict) => entriesOf(self),
    keys: ({ value }: Dict) => list([...value.keys()].map(keyValue)),
    values: ({ value }: Dict) => list([...value.values()]),
  }),
);

/** Methods of Python's `list` and `tuple` that change nothing. */
export const LIST_METHODS: ReadonlyMap<string, (self: List, args: Args) => Value> = new Map(
  Object.entries({
    copy: (self: List) => self,
    count: ({ value }: List, { positional }: Args) =>
      integer(value.filter((item) => areEqual(item, positional[0]!)).length),
    index: ({ value }: List, { positional }: Args) => {
      const at = value.findIndex((item) => areEqual(item, positional[0]!));
      if (at < 0) throw new Error('index: the item is not in the list');
      return integer(at);
    },
  }),
);

/** Python's `dict(...)`. */
export function dictOf({ positional: [source], named }: Args): Dict {
  if (source === undefined) return dict(named);
  if (isDict(source)) return dict(new Map([...source.value, ...named]));
  const entries = (itemsOf(source) ?? []).map((pair): [Key, Value] => {
    const [first, value] = isList(pair) ? pair.value : [];
    const key = keyOf(first);
    if (key === undefined || value === undefined)
      throw new Error(`dict: found ${kindOf(pair)}, expected a pair of key and value`);
    return [key, value];
  });
  return dict(new Map([...entries, ...named]));
}
