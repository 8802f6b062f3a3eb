import { Environment, Interpreter, parse, tokenize } from '@huggingface/jinja';

/** A value of the template language, as the library holds it; `type` tells what `value` is. */
export interface Value {
  readonly type: string;
  readonly value: unknown;
}

export interface Text extends Value {
  readonly value: string;
}
export interface Num extends Value {
  readonly value: number;
}
export interface List extends Value {
  readonly value: readonly Value[];
}
export interface Dict extends Value {
  readonly value: ReadonlyMap<Key, Value>;
}
/** A key of a mapping: text, or a whole number. */
export type Key = string | number;
export interface Callable extends Value {
  readonly value: (args: Value[], scope: Environment) => Value;
}

/** A value of the library, which exports no classes of values. */
const sample = (value: unknown): Value => new Environment().set('sample', value);
const classOf = (value: Value) => value.constructor as new (value: unknown) => Value;

function keywordsSample(): Value {
  const scope = new Environment();
  let last: Value | undefined;
  const inspect = (values: Value[]): Value => {
    last = values.at(-1);
    return sample(null);
  };
  scope.variables.set('inspect', new (classOf(sample(() => 0)))(inspect) as never);
  evaluated('{{ inspect(a=1) }}', scope);
  return last!;
}

const [TextValue, IntegerValue, FloatValue, BooleanValue, ListValue, DictValue, FunctionValue] = [
  '',
  1,
  0.5,
  true,
  [],
  {},
  () => 0,
].map((value) => classOf(sample(value))) as [ValueClass, ...ValueClass[]] as ValueClasses;
const evaluated = (expression: string, scope = new Environment()): Value =>
  new Interpreter().evaluate(parse(tokenize(expression)).body[0], scope);
const TupleValue = classOf(evaluated('{{ (1, 2) }}'));
const KeywordsValue = classOf(keywordsSample());

type ValueClass = new (value: unknown) => Value;
type ValueClasses = [ValueClass, ValueClass, ValueClass, ValueClass, ValueClass, ValueClass, ValueClass];

export const none = sample(null);
export const missing = sample(undefined);
export const text = (value: string): Text => new TextValue(value) as Text;
export const integer = (value: number): Num => new IntegerValue(value) as Num;
export const float = (value: number): Num => new FloatValue(value) as Num;
export const bool = (value: boolean): Value => new BooleanValue(value);
export const list = (value: readonly Value[]): List => new ListValue(value) as List;
export const tuple = (value: readonly Value[]): List => new TupleValue(value) as List;
export const dict = (value: ReadonlyMap<Key, Value>): Dict => new DictValue(value) as Dict;
export const callable = (value: (args: Args, scope: Environment) => Value): Value =>
  new FunctionValue((values: Value[], scope: Environment) => value(argsOf(values), scope));

/** The last argument of a call that has named ones. */
export const keywords = (value: ReadonlyMap<string, Value>): Value => new KeywordsValue(value);

export const isText = (value: Value | undefined): value is Text => value?.type === 'StringValue';
export const isBool = (value: Value | undefined): boolean => value?.type === 'BooleanValue';
export const isInteger = (value: Value | undefined): value is Num => value?.type === 'IntegerValue';
export const isFloat = (value: Value | undefined): value is Num => value?.type === 'FloatValue';
export const isTuple = (value: Value | undefined): value is List => value?.type === 'TupleValue';
export const isList = (value: Value | undefined): value is List =>
  value?.type === 'ArrayValue' || isTuple(value);
export const isDict = (value: Value | undefined): value is Dict => value?.type === 'ObjectValue';
export const isNamespace = (value: Value | undefined): value is Dict => value?.type === 'NamespaceValue';
export const isCallable = (value: Value | undefined): value is Callable => value?.type === 'FunctionValue';
export const isNone = (value: Value | undefined): boolean => value?.type === 'NullValue';
export const isMissing = (value: Value | undefined): boolean =>
  value === undefined || value.type === 'UndefinedValue';

/** The number that `value` is, a boolean being 0 or 1 as in Python. */
export function numberOf(value: Value | undefined): number | undefined {
  return isInteger(value) || isFloat(value) || isBool(value) ? Number(value!.value) : undefined;
}

export function isTrue({ type, value }: Value): boolean {
  if (type === 'ArrayValue' || type === 'TupleValue') return (value as Value[]).length > 0;
  if (type === 'ObjectValue') return (value as Map<string, Value>).size > 0;
  return Boolean(value);
}

export const keyValue = (key: Key): Value => (typeof key === 'string' ? text(key) : integer(key));

/** `value` as the key of a mapping, undefined when it can't be one. */
export function keyOf(value: Value | undefined): Key | undefined {
  return isText(value) || isInteger(value) ? value.value : undefined;
}

/** The items a loop over `value` goes through, or undefined when it can't be looped over. */
export function itemsOf(value: Value): readonly Value[] | undefined {
  if (isList(value)) return value.value;
  if (isText(value)) return [...value.value].map(text);
  if (isDict(value)) return [...value.value.keys()].map(keyValue);
  return isMissing(value) ? [] : undefined;
}

/** Arguments of a call. */
export interface Args {
  readonly positional: readonly Value[];
  readonly named: ReadonlyMap<string, Value>;
}

/** Named arguments travel as the last positional one. */
function argsOf(values: readonly Value[]): Args {
  const last = values.at(-1);
  if (last?.type !== 'KeywordArgumentsValue') return { positional: values, named: new Map() };
  return { positional: values.slice(0, -1), named: last.value as Map<string, Value> };
}

/** The argument at position `i` or of this name. */
export function argument({ positional, named }: Args, i: number, name: string): Value | undefined {
  const value = positional[i] ?? named.get(name);
  return isMissing(value) ? undefined : value;
}

/** The text argument at position `i`, undefined when it is left out or none. */
export function textArgument(args: Args, i: number, name: string): string | undefined {
  const value = argument(args, i, name);
  if (value === undefined || isNone(value)) return undefined;
  if (isText(value)) return value.value;
  throw new Error(`${name}: found ${kindOf(value)}, expected text`);
}

/** The whole-number argument at position `i`. */
export function integerArgument(args: Args, i: number, name: string, otherwise: number): number {
  const value = argument(args, i, name);
  if (value === undefined) return otherwise;
  if (isInteger(value)) return value.value;
  throw new Error(`${name}: found ${kindOf(value)}, expected a whole number`);
}

const KINDS: Readonly<Record<string, string>> = {
  StringValue: 'text',
  IntegerValue: 'a whole number',
  FloatValue: 'a number',
  BooleanValue: 'a boolean',
  ArrayValue: 'a list',
  TupleValue: 'a tuple',
  ObjectValue: 'a mapping',
  NamespaceValue: 'a namespace',
  FunctionValue: 'a function',
  NullValue: 'none',
  UndefinedValue: 'nothing',
};

/** The kind of `value` in words. */
export function kindOf({ type }: Value): string {
  return KINDS[type] ?? type;
}
