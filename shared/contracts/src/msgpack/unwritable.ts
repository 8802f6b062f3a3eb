import { types } from 'node:util';

/** A value that can't be written. */
export interface Unwritable {
  /** Its place, e.g. `args[0].x`. */
  path: string;
  /** Its kind, e.g. `a function`. */
  reason: string;
}

/** Whether it is an object of nothing but its own properties, of whichever realm. */
export function isPlain(value: object): boolean {
  const prototype: unknown = Object.getPrototypeOf(value);
  return prototype === Object.prototype || prototype === null || Object.getPrototypeOf(prototype) === null;
}

/**
 * The first value that can't be written, in one that is called `name`: a function, a symbol, an instance of a class, a
 * cycle, or a nesting deeper than `maxDepth`. Null when all of it can.
 */
export function unwritableIn(value: unknown, name: string, maxDepth: number): Unwritable | null {
  return new Walk(maxDepth).fault(value, name);
}

class Walk {
  private readonly ancestors = new Set<object>();
  /** Without a fault; an object that is met again is not looked through again. */
  private readonly sound = new Set<object>();

  constructor(private readonly maxDepth: number) {}

  fault(value: unknown, path: string): Unwritable | null {
    if (typeof value === 'function' || typeof value === 'symbol')
      return { path, reason: `a ${typeof value}` };
    if (typeof value !== 'object' || value === null || this.sound.has(value)) return null;
    if (this.ancestors.has(value)) return { path, reason: 'a cycle' };
    if (this.ancestors.size >= this.maxDepth) return { path, reason: `nested deeper than ${this.maxDepth}` };
    if (!isCarried(value)) return { path, reason: `an instance of ${classOf(value)}` };
    this.ancestors.add(value);
    try {
      for (const [step, child] of childrenOf(value)) {
        const found = this.fault(child, path + step);
        if (found !== null) return found;
      }
    } catch (error) {
      return { path, reason: `an object with a getter that throws (${String(error)})` };
    }
    this.ancestors.delete(value);
    this.sound.add(value);
    return null;
  }
}

function isCarried(value: object): boolean {
  const { isMap, isSet, isTypedArray, isArrayBuffer, isDate } = types;
  const kinds = [Array.isArray, isPlain, isMap, isSet, isTypedArray, isArrayBuffer, isDate];
  return kinds.some((isKind) => isKind(value));
}

/** Parts of a value, with the steps that lead there. */
function* childrenOf(value: object): Generator<[string, unknown]> {
  if (Array.isArray(value)) {
    for (let i = 0; i < value.length; i++) yield [`[${i}]`, value[i]];
  } else if (types.isMap(value)) {
    for (const [key, item] of value) {
      yield ['.keys()', key];
      yield [`.get(${typeof key === 'object' ? '...' : String(key)})`, item];
    }
  } else if (types.isSet(value)) {
    for (const item of value) yield ['.values()', item];
  } else if (isPlain(value)) {
    for (const key of Object.keys(value)) yield [`.${key}`, (value as Record<string, unknown>)[key]];
  }
}

function classOf(value: object): string {
  const { constructor } = value as { constructor?: { name?: unknown } };
  return typeof constructor?.name === 'string' && constructor.name !== '' ? constructor.name : 'a class';
}
