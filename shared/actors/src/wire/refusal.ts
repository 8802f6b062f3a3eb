import { types } from 'node:util';
import { ForgeError } from '@forge/errors';
import { fieldName, type Frame } from './frame';
import { MAX_DEPTH } from './value-format';

/** Whether it is an object of nothing but its own properties, of whichever realm. */
export function isPlain(value: object): boolean {
  const prototype: unknown = Object.getPrototypeOf(value);
  return prototype === Object.prototype || prototype === null || Object.getPrototypeOf(prototype) === null;
}

/**
 * Why a frame can't travel, with the path to the first value that is to blame: a function, a symbol, an instance of a
 * class, a cycle, or a nesting that is too deep. Null when all of it can.
 */
export function refusalIn(frame: Frame): ForgeError | null {
  const [kind, , ...fields] = frame;
  const walk = new Walk();
  for (const [i, field] of fields.entries()) {
    const found = walk.refusal(field, fieldName(kind, i + 2));
    if (found === null) continue;
    const { path, reason } = found;
    const message = `${path} is ${reason}, which can't be sent; send plain data`;
    return new ForgeError('CONTRACT_UNSERIALIZABLE', message, { path, reason });
  }
  return null;
}

class Walk {
  private readonly ancestors = new Set<object>();
  /** Without a fault; an object that is met again is not looked through again. */
  private readonly sound = new Set<object>();

  refusal(value: unknown, path: string): { path: string; reason: string } | null {
    if (typeof value === 'function' || typeof value === 'symbol')
      return { path, reason: `a ${typeof value}` };
    if (typeof value !== 'object' || value === null || this.sound.has(value)) return null;
    if (this.ancestors.has(value)) return { path, reason: 'a cycle' };
    if (this.ancestors.size >= MAX_DEPTH - 1) return { path, reason: `nested deeper than ${MAX_DEPTH - 1}` };
    this.ancestors.add(value);
    for (const [step, child] of childrenOf(value) ?? []) {
      const found = this.refusal(child, path + step);
      if (found !== null) return found;
    }
    this.ancestors.delete(value);
    this.sound.add(value);
    return childrenOf(value) === null ? { path, reason: `an instance of ${classOf(value)}` } : null;
  }
}

/** What a value consists of, with the steps that lead there; null for what is of no kind that travels. */
function childrenOf(value: object): Iterable<[string, unknown]> | null {
  if (Array.isArray(value)) return value.map((item, i) => [`[${i}]`, item]);
  if (isPlain(value)) return Object.entries(value).map(([key, item]) => [`.${key}`, item]);
  if (types.isMap(value)) {
    return [...value].flatMap(([key, item]): [string, unknown][] => [
      ['.keys()', key],
      [`.get(${typeof key === 'object' ? '...' : String(key)})`, item],
    ]);
  }
  if (types.isSet(value)) return [...value].map((item) => ['.values()', item]);
  return types.isTypedArray(value) || types.isArrayBuffer(value) || types.isDate(value) ? [] : null;
}

function classOf(value: object): string {
  const { constructor } = value as { constructor?: { name?: unknown } };
  return typeof constructor?.name === 'string' && constructor.name !== '' ? constructor.name : 'a class';
}
