import { compared } from './operators';
import { floatText } from './printed';
import {
  argument,
  isBool,
  isDict,
  isFloat,
  isInteger,
  isList,
  isNone,
  isText,
  isTrue,
  keyValue,
  kindOf,
  type Args,
  type Value,
} from './value';

interface Layout {
  indent: string | undefined;
  itemSeparator: string;
  keySeparator: string;
  isAscii: boolean;
  isSorted: boolean;
}

/** JSON as transformers' `tojson` writes it: `tojson(ensure_ascii, indent, separators, sort_keys)`. */
export function toJson(value: Value, args: Args): string {
  const given = argument(args, 1, 'indent');
  const indent = isInteger(given) ? ' '.repeat(given.value) : isText(given) ? given.value : undefined;
  const separators = argument(args, 2, 'separators');
  const [item, key] = isList(separators) ? separators.value : [];
  const isSet = (i: number, name: string): boolean => {
    const flag = argument(args, i, name);
    return flag !== undefined && isTrue(flag);
  };
  return written(value, '', {
    indent,
    itemSeparator: isText(item) ? item.value : indent === undefined ? ', ' : ',',
    keySeparator: isText(key) ? key.value : ': ',
    isAscii: isSet(0, 'ensure_ascii'),
    isSorted: isSet(3, 'sort_keys'),
  });
}

function written(value: Value, margin: string, layout: Layout): string {
  if (isText(value)) return textJson(value.value, layout);
  if (isNone(value)) return 'null';
  if (isBool(value) || isInteger(value)) return String(value.value);
  if (isFloat(value)) return floatText(value.value);
  const inner = margin + (layout.indent ?? '');
  if (isList(value)) {
    return block(
      '[',
      ']',
      value.value.map((item) => written(item, inner, layout)),
      margin,
      layout,
    );
  }
  if (isDict(value)) {
    const entries = [...value.value];
    if (layout.isSorted) entries.sort(([a], [b]) => compared(keyValue(a), keyValue(b)));
    const parts = entries.map(
      ([key, item]) => textJson(String(key), layout) + layout.keySeparator + written(item, inner, layout),
    );
    return block('{', '}', parts, margin, layout);
  }
  throw new Error(`tojson of ${kindOf(value)}`);
}

function block(
  open: string,
  close: string,
  parts: readonly string[],
  margin: string,
  layout: Layout,
): string {
  const { indent, itemSeparator } = layout;
  if (parts.length === 0 || indent === undefined) return open + parts.join(itemSeparator) + close;
  const line = `\n${margin}${indent}`;
  return `${open}${line}${parts.join(itemSeparator + line)}\n${margin}${close}`;
}

function textJson(value: string, { isAscii }: Layout): string {
  const json = JSON.stringify(value);
  if (!isAscii) return json;
  return json.replace(/[\x7f-\uffff]/g, (unit) => `\\u${unit.charCodeAt(0).toString(16).padStart(4, '0')}`);
}
