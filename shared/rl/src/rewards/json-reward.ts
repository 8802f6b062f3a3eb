import { isDeepStrictEqual } from 'node:util';
import { ForgeError } from '@forge/errors';
import type { Reward } from './reward';

export interface JsonRewardOptions {
  /** For JSON that is not the answer, times the share of its fields that are. */
  partialCredit?: number | undefined;
}

/**
 * 1 when the text is JSON alone and equals the sample's answer, whatever the order of its keys and its white space. An object
 * that differs gets `partialCredit` times the share of keys, of both together, whose values are equal; anything else 0.
 *
 * @throws {ForgeError} CONTRACT_INVALID_MESSAGE (from `score`) for a sample whose answer is not JSON.
 */
export function jsonReward({ partialCredit = 0.5 }: JsonRewardOptions = {}): Reward {
  return {
    name: 'json',
    score({ id, answer = '' }, text) {
      const expected = parsed(answer);
      if (expected === undefined) {
        throw new ForgeError(
          'CONTRACT_INVALID_MESSAGE',
          `reward 'json': the answer of sample '${id}' is not JSON`,
          {
            sampleId: id,
          },
        );
      }
      const given = parsed(text);
      if (isDeepStrictEqual(given, expected)) return 1;
      return isObject(given) && isObject(expected) ? partialCredit * shareOfEqual(expected, given) : 0;
    },
  };
}

/** The value a text is in JSON; undefined where it is none. */
function parsed(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

const isObject = (value: unknown): value is Record<string, unknown> =>
  typeof value === 'object' && value !== null && !Array.isArray(value);

function shareOfEqual(expected: Record<string, unknown>, given: Record<string, unknown>): number {
  const keys = [...new Set([...Object.keys(expected), ...Object.keys(given)])];
  const isEqual = (key: string): boolean =>
    Object.hasOwn(expected, key) && Object.hasOwn(given, key) && isDeepStrictEqual(given[key], expected[key]);
  return keys.filter(isEqual).length / keys.length;
}
