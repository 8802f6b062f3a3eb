import { Environment, Interpreter } from '@huggingface/jinja';
import { DICT_METHODS, LIST_METHODS } from './container-methods';
import { filterOf } from './filters';
import { operated } from './operators';
import { printed } from './printed';
import { testOf } from './tests';
import { TEXT_METHODS } from './text-methods';
import {
  bool,
  callable,
  dict,
  isCallable,
  isDict,
  isInteger,
  isList,
  isMissing,
  isNamespace,
  isText,
  isTrue,
  isTuple,
  integer,
  itemsOf,
  keyOf,
  keywords,
  kindOf,
  list,
  missing,
  none,
  text,
  type Args,
  type Key,
  type Value,
} from './value';

/** The template itself refuses what it is given, by `raise_exception`. */
export class TemplateRefusal extends Error {}

/** The function that tells the date. */
export const CLOCK = 'strftime_now';

/** A part of the parsed template; `type` tells which. */
interface Node {
  readonly type: string;
}
interface Named extends Node {
  readonly value: string;
}
interface Call extends Node {
  readonly callee: Node;
  readonly args: readonly Node[];
}
interface Member extends Node {
  readonly object: Node;
  readonly property: Node;
  readonly computed: boolean;
}
interface Loop extends Node {
  readonly iterable: Node;
  readonly body: readonly Node[];
  readonly defaultBlock: readonly Node[];
}
interface Binary extends Node {
  readonly operator: { readonly value: string };
  readonly left: Node;
  readonly right: Node;
}
interface Tested extends Node {
  readonly operand: Node;
  readonly test: Named;
  readonly negate: boolean;
}
interface DictNode extends Node {
  readonly value: ReadonlyMap<Node, Node>;
}
interface MacroNode extends Node {
  readonly name: Named;
}

/** Carries what a loop's pass has written up to `break` or `continue` out of the blocks inside it. */
class LoopControl extends Error {
  written = '';

  constructor(readonly isBreak: boolean) {
    super(isBreak ? 'break outside of a loop' : 'continue outside of a loop');
  }
}

/** Methods of the library's interpreter that its types keep private. */
interface Library {
  run(program: Node): Value;
  evaluate(node: Node | undefined, scope: Environment): Value;
  evaluateArguments(args: readonly Node[], scope: Environment): [Value[], Map<string, Value>];
  evaluateFor(node: Loop, scope: Environment): Value;
  evaluateMacro(node: MacroNode, scope: Environment): Value;
  evaluateMemberExpression(node: Member, scope: Environment): Value;
  evaluateSliceExpression(object: Value, slice: Node, scope: Environment): Value;
}
const LibraryInterpreter = Interpreter as unknown as new (scope: Environment) => Library;

/** Statements, in a list of parts that else are expressions to print. */
const SILENT = new Set(['Set', 'Macro', 'Comment']);

/**
 * The library's interpreter where it does as Jinja does, and Jinja's way where it does not: loops that end early,
 * values as Python prints, compares and joins them, the methods, filters and tests that templates use.
 */
export class JinjaInterpreter extends LibraryInterpreter {
  /** Loops under way, each by a body of its own. */
  private readonly loops = new WeakMap<readonly Node[], { isEnded: boolean; hasPassed: boolean }>();

  override evaluate(node: Node | undefined, scope: Environment): Value {
    if (node?.type === 'Break' || node?.type === 'Continue') throw new LoopControl(node.type === 'Break');
    if (node instanceof Evaluated) return node.value;
    if (node?.type === 'ObjectLiteral') return this.evaluateDict(node as DictNode, scope);
    return super.evaluate(node, scope);
  }

  private evaluateDict({ value }: DictNode, scope: Environment): Value {
    const entries = [...value].map(([keyNode, item]): [Key, Value] => {
      const key = keyOf(this.evaluate(keyNode, scope));
      if (key === undefined) throw new Error('a mapping with keys other than texts and whole numbers');
      return [key, this.evaluate(item, scope)];
    });
    return dict(new Map(entries));
  }

  /** The library goes on with its loop behind a `break`: every further pass is empty. */
  evaluateBlock(nodes: readonly Node[], outer: Environment): Value {
    const loop = this.loops.get(nodes);
    if (loop?.isEnded === true) return text('');
    // A variable that is set in a pass is gone in the next one.
    const scope = loop === undefined ? outer : new Environment(outer);
    let written = '';
    for (const node of nodes) {
      try {
        const value = this.evaluate(node, scope);
        if (!SILENT.has(node.type)) written += printed(value);
      } catch (error) {
        if (!(error instanceof LoopControl)) throw error;
        error.written = written + error.written;
        if (loop === undefined) throw error;
        loop.isEnded = error.isBreak;
        return text(error.written);
      }
    }
    if (loop !== undefined) loop.hasPassed = true;
    return text(written);
  }

  override evaluateFor(node: Loop, scope: Environment): Value {
    const isFiltered = node.iterable.type === 'SelectExpression';
    const source = isFiltered ? (node.iterable as Node & { lhs: Node }).lhs : node.iterable;
    const evaluated = new Evaluated(this.loopItems(source, scope));
    const iterable = isFiltered ? { ...node.iterable, lhs: evaluated } : evaluated;
    const body = [...node.body];
    const loop = { isEnded: false, hasPassed: false };
    this.loops.set(body, loop);
    const written = super.evaluateFor({ ...node, iterable, body, defaultBlock: [] }, scope);
    if (loop.hasPassed) return written;
    return text(printed(written) + printed(this.evaluateBlock(node.defaultBlock, scope)));
  }

  /** Pairs as lists: the library takes no tuple apart. */
  private loopItems(source: Node, scope: Environment): Value {
    const value = this.evaluate(source, scope);
    const items = itemsOf(value);
    if (items === undefined) throw new Error(`a loop over ${kindOf(value)} (${named(source)})`);
    return list(items.map((item) => (isTuple(item) ? list(item.value) : item)));
  }

  /** A macro sees what surrounds it, not what surrounds its call. */
  override evaluateMacro(node: MacroNode, scope: Environment): Value {
    super.evaluateMacro(node, scope);
    const macro = scope.lookupVariable(node.name.value) as Value;
    if (!isCallable(macro)) throw new Error(`macro ${node.name.value} is not defined`);
    const { value: run } = macro;
    const inPlace = callable(({ positional, named: given }, from) => {
      const inner = new Environment(scope);
      const caller = from.variables.get('caller');
      if (caller !== undefined) inner.setVariable('caller', caller);
      return run(given.size === 0 ? [...positional] : [...positional, keywords(given)], inner);
    });
    setVariable(scope, node.name.value, inPlace);
    return none;
  }

  evaluateBinaryExpression({ operator, left, right }: Binary, scope: Environment): Value {
    const first = this.evaluate(left, scope);
    if (operator.value === 'and') return isTrue(first) ? this.evaluate(right, scope) : first;
    if (operator.value === 'or') return isTrue(first) ? first : this.evaluate(right, scope);
    return operated(operator.value, first, this.evaluate(right, scope));
  }

  evaluateTestExpression({ operand, test, negate }: Tested, scope: Environment): Value {
    const isClock = operand.type === 'Identifier' && (operand as Named).value === CLOCK;
    // A template that asks whether there is a clock has a date of its own to fall back on.
    const value = isClock ? missing : this.evaluate(operand, scope);
    return bool(testOf(test.value)(value, missing) !== negate);
  }

  evaluateFilterExpression(
    { operand, filter }: Node & { operand: Node; filter: Node },
    scope: Environment,
  ): Value {
    return this.applyFilter(this.evaluate(operand, scope), filter, scope);
  }

  applyFilter(value: Value, filter: Node, scope: Environment): Value {
    const isCall = filter.type === 'CallExpression';
    const { callee, args } = isCall ? (filter as Call) : { callee: filter, args: [] };
    const [positional, given] = this.evaluateArguments(args, scope);
    return filterOf((callee as Named).value)(value, { positional, named: given });
  }

  evaluateCallExpression({ callee, args }: Call, scope: Environment): Value {
    const [positional, given] = this.evaluateArguments(args, scope);
    const target = this.evaluate(callee, scope);
    if (!isCallable(target)) throw new Error(`${named(callee)}(), which is not supported`);
    return target.value(given.size === 0 ? positional : [...positional, keywords(given)], scope);
  }

  override evaluateMemberExpression(node: Member, scope: Environment): Value {
    const object = this.evaluate(node.object, scope);
    const { property, computed } = node;
    if (computed && property.type === 'SliceExpression')
      return this.evaluateSliceExpression(object, property, scope);
    const key = computed ? this.evaluate(property, scope) : literalKey(property);
    if (isMissing(object)) throw new Error(`${named(node)}: ${named(node.object)} is undefined`);
    const method = isText(key) ? methodOf(object, key.value) : undefined;
    // `a.b` looks for a method first, `a['b']` for an item.
    return (computed ? undefined : method) ?? itemAt(object, key) ?? method ?? missing;
  }
}

/** A part of a template whose value is known. */
class Evaluated implements Node {
  readonly type = 'Evaluated';

  constructor(readonly value: Value) {}
}

function literalKey(property: Node): Value {
  const { type, value } = property as Node & { value: string | number };
  return type === 'IntegerLiteral' ? integer(value as number) : text(value as string);
}

function methodOf(object: Value, name: string): Value | undefined {
  const bound = <T extends Value>(self: T, method: ((self: T, args: Args) => Value) | undefined) =>
    method === undefined ? undefined : callable((args) => method(self, args));
  if (isText(object)) {
    const method = TEXT_METHODS.get(name);
    return method === undefined ? undefined : callable((args) => method(object.value, args));
  }
  if (isDict(object)) return bound(object, DICT_METHODS.get(name));
  return isList(object) ? bound(object, LIST_METHODS.get(name)) : undefined;
}

function itemAt(object: Value, key: Value): Value | undefined {
  if (isDict(object) || isNamespace(object)) {
    const name = keyOf(key);
    return name === undefined ? undefined : object.value.get(name);
  }
  if (!isInteger(key)) return undefined;
  if (isText(object)) {
    const character = [...object.value].at(key.value);
    return character === undefined ? undefined : text(character);
  }
  return isList(object) ? object.value.at(key.value) : undefined;
}

/** A part of a template as its author wrote it, near enough to find it. */
function named(node: Node): string {
  const { type, value } = node as Named;
  if (type === 'Identifier') return value;
  if (type === 'StringLiteral') return JSON.stringify(value);
  if (type === 'MemberExpression') {
    const { object, property, computed } = node as Member;
    return computed ? `${named(object)}[${named(property)}]` : `${named(object)}.${named(property)}`;
  }
  if (type === 'CallExpression') return `${named((node as Call).callee)}()`;
  return type === 'IntegerLiteral' ? String(value) : '...';
}

export function setVariable(scope: Environment, name: string, value: Value): void {
  scope.variables.set(name, value as Parameters<Environment['setVariable']>[1]);
}
