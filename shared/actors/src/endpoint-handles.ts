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
 * too, whose calls are rejected by the actor.
 */
export function endpointHandles<B extends object>(base: B, make: (endpoint: string) => object): B {
  return new Proxy(base, {
    get(target, name) {
      // An object with a `then` would be taken for a promise.
      if (typeof name === 'symbol' || name === 'then' || name in target)
        return Reflect.get(target, name) as unknown;
      const handle = make(name);
      Object.defineProperty(target, name, { value: handle });
      return handle;
    },
  });
}
