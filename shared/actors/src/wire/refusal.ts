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
    if (!isCarried(value)) return { path, reason: `an instance of ${classOf(value)}` };
    this.ancestors.add(value);
    try {
      for (const [step, child] of childrenOf(value)) {
        const found = this.refusal(child, path + step);
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

/** What a value consists of, with the steps that lead there. */
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
