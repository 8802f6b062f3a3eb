import { MAX_REWARD } from '@forge/contracts';
import { ForgeError } from '@forge/errors';

const SHOWN_CHARACTERS = 200;

/**
 * The reward that the last line of what an agent wrote gives, as in `{"reward": 0.5}`; null: it gives none.
 *
 * @throws {ForgeError} NUMERIC_NON_FINITE, CONTRACT_INVALID_MESSAGE for a line that means to, and gives no number, or one
 *   that is too large.
 */
export function rewardIn(output: string): number | null {
  const line = output.trimEnd().split('\n').at(-1)!.trim();
  if (!/^\{.*"reward"\s*:/.test(line)) return null;
  const found = `its last line gives no reward: found ${line.slice(0, SHOWN_CHARACTERS)}, expected {"reward": 0.5}`;
  const reward = rewardOf(line);
  if (reward === null) return null;
  const isUnfinite =
    /"reward"\s*:\s*[-+]?(NaN|Infinity)\b/i.test(line) ||
    (typeof reward === 'number' && !Number.isFinite(reward));
  if (isUnfinite) throw new ForgeError('NUMERIC_NON_FINITE', found);
  if (typeof reward !== 'number') throw new ForgeError('CONTRACT_INVALID_MESSAGE', found);
  if (Math.abs(reward) > MAX_REWARD) {
    const message = `its last line gives a reward of ${reward}, expected ${-MAX_REWARD} to ${MAX_REWARD}`;
    throw new ForgeError('CONTRACT_INVALID_MESSAGE', message);
  }
  return reward;
}

/** The field of the JSON; undefined where that is none. */
function rewardOf(line: string): unknown {
  try {
    return (JSON.parse(line) as { reward?: unknown }).reward;
  } catch {
    return undefined;
  }
}
