import { ForgeError } from '@forge/errors';
import { definingFile } from './defining-file';

export interface EndpointOptions {
  /** A call may be made again when it is not known whether it had its effect. */
  idempotent?: boolean;
  /** Later messages do not wait until it has ended. It starts in its turn all the same. */
  concurrent?: boolean;
}

export interface EndpointDefinition extends Required<EndpointOptions> {
  /** File that defines the class: a path or a file: URL. */
  file: string | null;
}

/** Kept on the method itself: a class loaded twice, or by another copy of this module, is understood. */
const DEFINITION = Symbol.for('forge.actors.endpoint');

/**
 * Declares a method of an actor as callable by message. An async generator is called by `stream`. A parameter that
 * may be left out has a default value (`by = 1`); one declared with `?` must be given, since nothing of the question
 * mark is left at run time.
 */
export function endpoint(options: EndpointOptions = {}) {
  const definition: EndpointDefinition = {
    idempotent: options.idempotent ?? false,
    concurrent: options.concurrent ?? false,
    file: definingFile(endpoint),
  };
  return function declare(
    method: object,
    place: ClassMethodDecoratorContext | string,
    _descriptor?: object,
  ): void {
    // A loader with the older decorators (jiti) passes prototype and name instead.
    const target = typeof place === 'string' ? (method as Record<string, object>)[place] : method;
    Object.defineProperty(target, DEFINITION, { value: definition });
  };
}

/** The declaration of a method; null for one that is no endpoint. */
export function definitionOf(method: unknown): EndpointDefinition | null {
  if (typeof method !== 'function') return null;
  return (method as { [DEFINITION]?: EndpointDefinition })[DEFINITION] ?? null;
}

/** A method that can be called by message. */
export interface Endpoint extends EndpointDefinition {
  name: string;
  method: (...args: unknown[]) => unknown;
  streams: boolean;
  minArgs: number;
  maxArgs: number;
}

const tables = new WeakMap<object, ReadonlyMap<string, Endpoint>>();

/**
 * The endpoints of a class by name, those it inherits included. A method that overrides an endpoint is one without
 * saying so again.
 */
export function endpointsOf(actorClass: { prototype: object }): ReadonlyMap<string, Endpoint> {
  const known = tables.get(actorClass);
  if (known !== undefined) return known;
  const table = new Map<string, Endpoint>();
  const { prototype } = actorClass as { prototype: Record<string, unknown> };
  for (let level: object | null = prototype; level !== null; level = Object.getPrototypeOf(level) as object) {
    if (level === Object.prototype) break;
    for (const [name, { value }] of Object.entries(Object.getOwnPropertyDescriptors(level))) {
      const definition = definitionOf(value);
      const method = Object.getOwnPropertyDescriptor(prototype, name)?.value ?? (value as unknown);
      if (definition === null || table.has(name)) continue;
      table.set(name, describeMethod(name, definition, method as Endpoint['method']));
    }
  }
  tables.set(actorClass, table);
  return table;
}

function describeMethod(name: string, definition: EndpointDefinition, method: Endpoint['method']): Endpoint {
  const parameters = /\(([^)]*)/.exec(method.toString())?.[1] ?? '';
  const takesMore = parameters.includes('=') || parameters.includes('...');
  return {
    ...definition,
    name,
    method,
    streams: method.constructor.name === 'AsyncGeneratorFunction',
    minArgs: method.length,
    maxArgs: takesMore ? Infinity : method.length,
  };
}

/**
 * The endpoint a message names, once its form is right.
 *
 * @throws {ForgeError} CONTRACT_UNKNOWN_ENDPOINT; CONTRACT_INVALID_CALL for a wrong number of arguments or an adverb
 *   that does not fit.
 */
export function resolveEndpoint(
  endpoints: ReadonlyMap<string, Endpoint>,
  actor: string,
  name: string,
  args: readonly unknown[],
  asStream: boolean,
): Endpoint {
  const found = endpoints.get(name);
  if (found === undefined) {
    const known = [...endpoints.keys()];
    const message = `${actor} has no endpoint ${name}; it has ${known.join(', ') || 'none'} (methods marked @endpoint())`;
    throw new ForgeError('CONTRACT_UNKNOWN_ENDPOINT', message, { actor, endpoint: name, endpoints: known });
  }
  if (found.streams !== asStream) {
    const message = found.streams
      ? `${actor}.${name} yields items: call it by stream()`
      : `${actor}.${name} has one result: a stream needs an async generator`;
    throw new ForgeError('CONTRACT_INVALID_CALL', message, { actor, endpoint: name });
  }
  if (args.length >= found.minArgs && args.length <= found.maxArgs) return found;
  const expected = found.maxArgs === Infinity ? `at least ${found.minArgs}` : String(found.minArgs);
  throw new ForgeError(
    'CONTRACT_INVALID_CALL',
    `${actor}.${name} takes ${expected} arguments, ${args.length} given; a parameter that may be left out needs a default value`,
    { actor, endpoint: name, expected: found.minArgs, found: args.length },
  );
}
