import { ForgeError } from '@forge/errors';
import { defaultStages, type Algorithm, type CriticOptions } from './algorithms/algorithm';
import type { EnvironmentSet } from './environments/environment';
import type { ToolSet } from './environments/tools';
import type { Reward } from './rewards/reward';
import { defaultRollout, type Rollout } from './rollouts/rollout';

type Kind = 'boolean' | 'function' | 'number' | 'object' | 'string';
type Kinds<T> = Readonly<Record<keyof T, Kind>>;
/** An algorithm as a user's module may give it: these parts have a default. */
type Defaulted = 'shape' | 'acrossBatch' | 'critic' | 'referenceTop';
type OwnAlgorithm = Omit<Algorithm, Defaulted> & Partial<Pick<Algorithm, Defaulted>>;

const REQUIRED: Kinds<Omit<Algorithm, Defaulted>> = {
  name: 'string',
  rollout: 'function',
  advantage: 'function',
  loss: 'function',
  needsReference: 'boolean',
  isInformative: 'function',
};
const DEFAULTED: Kinds<Pick<Algorithm, Defaulted>> = {
  shape: 'function',
  acrossBatch: 'function',
  critic: 'object',
  referenceTop: 'number',
};
const CRITIC: Kinds<Omit<CriticOptions, 'learningRate'>> = {
  gamma: 'number',
  lambda: 'number',
  whitening: 'string',
  loss: 'function',
};
const REWARD: Kinds<Reward> = { name: 'string', score: 'function' };

/**
 * The algorithm a user's module made, checked. Its functions are called on the object itself: one of a class has methods,
 * getters and private fields, which no copy would have.
 *
 * @throws {ForgeError} CONFIG_MODULE_UNLOADABLE naming `path` and the first field that does not fit.
 */
export function checkAlgorithm(value: unknown, path: string): Algorithm {
  const expected = 'an algorithm, as defineAlgorithm() makes it';
  const own = checkFields<OwnAlgorithm>(value, REQUIRED, path, expected);
  const given = Object.entries(DEFAULTED).filter(([field]) => own[field as Defaulted] !== undefined);
  checkFields(value, Object.fromEntries(given), path, expected);
  const { critic = null } = own;
  if (critic !== null) checkFields<CriticOptions>(critic, CRITIC, path, 'a critic, as CriticOptions says');
  return {
    name: own.name,
    needsReference: own.needsReference,
    referenceTop: own.referenceTop ?? 0,
    rollout: own.rollout === defaultRollout ? defaultRollout : (context) => own.rollout(context),
    shape: (episodes) => (own.shape ?? defaultStages.shape).call(own, episodes),
    advantage: (rewards, episodes) => own.advantage(rewards, episodes),
    acrossBatch: (groups) => (own.acrossBatch ?? defaultStages.acrossBatch).call(own, groups),
    loss: (terms) => own.loss(terms),
    critic,
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

/**
 * The rollout a user's module made, checked.
 *
 * @throws {ForgeError} CONFIG_MODULE_UNLOADABLE naming `path`.
 */
export function checkRollout(value: unknown, path: string): Rollout {
  if (typeof value === 'function') return value as Rollout;
  const expected = 'a function of the options that makes a rollout: (options) => toolRollout({ ... })';
  throw new ForgeError('CONFIG_MODULE_UNLOADABLE', `${path}: found ${typeof value}, expected ${expected}`, {
    path,
  });
}

/**
 * The tools a user's module made, checked.
 *
 * @throws {ForgeError} CONFIG_MODULE_UNLOADABLE naming `path`.
 */
export function checkTools(value: unknown, path: string): ToolSet {
  return checkFields<ToolSet>(value, { open: 'function' }, path, 'tools, as defineTools() makes them');
}

/**
 * The environment a user's module made, checked.
 *
 * @throws {ForgeError} CONFIG_MODULE_UNLOADABLE naming `path`.
 */
export function checkEnvironment(value: unknown, path: string): EnvironmentSet {
  const kinds = { open: 'function', slots: 'object', toolSlots: 'object', timeoutMs: 'number' } as const;
  return checkFields<EnvironmentSet>(value, kinds, path, 'an environment, as defineEnvironment() makes it');
}

function checkFields<T extends object>(
  value: unknown,
  kinds: Partial<Kinds<T>>,
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
  for (const [field, kind] of Object.entries<Kind>(kinds as Record<string, Kind>)) {
    if (typeof fields[field] !== kind) {
      throw fail(field in fields ? `${typeof fields[field]} '${field}'` : `no ${kind} '${field}'`, field);
    }
  }
  return value as T;
}
