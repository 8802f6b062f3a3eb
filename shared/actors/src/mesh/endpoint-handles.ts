import { ForgeError } from '@forge/errors';

/**
 * @throws {ForgeError} CONFIG_INVALID when an endpoint has the name of something every handle has: it could not be
 *   reached.
 */
export function refuseReserved(endpoints: Iterable<string>, base: { prototype: object; name: string }): void {
  for (const name of endpoints) {
    if (!(name in base.prototype)) continue;
    const message = `endpoint ${name}: every handle has a ${name} of its own, call the endpoint something else`;
    throw new ForgeError('CONFIG_INVALID', message, { endpoint: name, handle: base.name });
  }
}

/**
 * `base` with a handle under every other name, made when it is first asked for. A name that is no endpoint gives one
 * too, whose calls are rejected by the actor. `base` keeps its state in #private fields, out of the way of endpoints.
 */
export function endpointHandles<B extends object>(base: B, make: (endpoint: string) => object): B {
  return new Proxy(base, {
    get(target, name) {
      // An object with a `then` would be taken for a promise.
      if (typeof name === 'string' && name !== 'then' && !(name in target))
        Object.defineProperty(target, name, { value: make(name) });
      const value: unknown = Reflect.get(target, name, target);
      return typeof value === 'function' ? (value.bind(target) as unknown) : value;
    },
  });
}
