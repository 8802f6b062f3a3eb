import { ForgeError } from '@forge/errors';
import type { Algorithm } from './algorithms/algorithm';
import type { Reward } from './rewards/reward';

type Kind = 'boolean' | 'function' | 'string';

const ALGORITHM: Record<keyof Algorithm, Kind> = {
  name: 'string',
  rollout: 'function',
  advantage: 'function',
  loss: 'function',
  needsReference: 'boolean',
  isInformative: 'function',
};
const REWARD: Record<keyof Reward, Kind> = { name: 'string', score: 'function' };

/**
 * The algorithm a user's module made, checked. Its functions are called on the object itself: one of a class has methods,
 * getters and private fields, which no copy would have.
 *
 * @throws {ForgeError} CONFIG_MODULE_UNLOADABLE naming `path` and the first field that does not fit.
 */
export function checkAlgorithm(value: unknown, path: string): Algorithm {
  const own = checkFields<Algorithm>(value, ALGORITHM, path, 'an algorithm, as defineAlgorithm() makes it');
  return {
    name: own.name,
    needsReference: own.needsReference,
    rollout: (context) => own.rollout(context),
    advantage: (rewards) => own.advantage(rewards),
    loss: (terms) => own.loss(terms),
    isInformative: (rewards, advantages) => own.isInformative(rewards, advantages),
  };
}

/**
 * The reward a user's module made, checked; like an algorithm, it may be of a class.
 *
 * @throws {ForgeError} CONFIG_MODULE_UNLOADABLE naming `path` and the first field that does not fit.
 */
export function checkReward(value: unknown, path: string): Reward {
  const own = checkFields<Reward>(value, REWARD, path, 'a reward, { name, score(sample, text, completion) }');
  return { name: own.name, score: (sample, text, completion) => own.score(sample, text, completion) };
}

function checkFields<T extends object>(
  value: unknown,
  kinds: Record<keyof T, Kind>,
  path: string,
  expected: string,
): T {
  const fail = (found: string, field?: string) =>
    new ForgeError('CONFIG_MODULE_UNLOADABLE', `${path}: found ${found}, expected ${expected}`, {
      path,
      field,
    });
  if (typeof value !== 'object' || value === null) throw fail(value === null ? 'null' : typeof value);
  const fields = value as Record<string, unknown>;
  for (const [field, kind] of Object.entries<Kind>(kinds)) {
    if (typeof fields[field] !== kind) {
      throw fail(field in fields ? `${typeof fields[field]} '${field}'` : `no ${kind} '${field}'`, field);
    }
  }
  return value as T;
}
