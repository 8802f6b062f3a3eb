import { MAX_REWARD, type Worth } from '@forge/contracts';
import { ForgeError, type ErrorCode } from '@forge/errors';
import type { Algorithm } from '@forge/rl';

/** The part of an algorithm that judges groups. */
export type Judge = Pick<Algorithm, 'shape' | 'advantage' | 'acrossBatch' | 'isInformative'>;
type Stage = keyof Judge;

/** The group a stage is asked about, or several, as errors name it. */
interface Judged {
  index: number | string;
  sampleId: string;
}

/**
 * Verdict of a stage of the algorithm on a group.
 *
 * @throws {ForgeError} its own, or BUG_INVARIANT for any other error; naming stage, group and sample.
 */
export function judge<T>(stage: Stage, group: Judged, say: () => T): T {
  try {
    return say();
  } catch (cause) {
    const { code, message } = ForgeError.from(cause);
    throw failure(code, stage, group, `it failed: ${message}`, {}, cause);
  }
}

/**
 * `rewards` of a group of so many episodes, checked.
 *
 * @throws {ForgeError} SHAPE_MISMATCH, NUMERIC_NON_FINITE.
 */
export function checkRewards(
  stage: Stage,
  group: Judged,
  rewards: readonly number[],
  episodes: number,
): void {
  checkCount(stage, group, rewards, episodes);
  rewards.forEach((reward, k) => checkNumber(stage, group, reward, `the reward of episode ${k}`));
}

/**
 * The worth of each episode of a group, checked. Shapes: lengths [G], tokens of each episode.
 *
 * @throws {ForgeError} NUMERIC_NON_FINITE when one is not finite, or too large for sums of such; SHAPE_MISMATCH when there is
 *   not one for each episode, or one has another length than its episode.
 */
export function checkWorths(
  stage: Stage,
  group: Judged,
  worths: readonly Worth[],
  lengths: readonly number[],
): void {
  checkCount(stage, group, worths, lengths.length);
  lengths.forEach((length, k) => {
    const worth = worths[k]!;
    if (!Array.isArray(worth)) {
      checkNumber(stage, group, worth, `the advantage of episode ${k}`);
      return;
    }
    if (worth.length !== length) {
      const said = `episode ${k} has ${worth.length} advantages; expected one number, or ${length}, one for each of its tokens`;
      throw failure('SHAPE_MISMATCH', stage, group, said, { episode: k });
    }
    for (const [t, one] of worth.entries())
      checkNumber(stage, group, one, `the advantage of token ${t} of episode ${k}`);
  });
}

/** The error of a stage about a group. */
export function failure(
  code: ErrorCode,
  stage: Stage,
  { index, sampleId }: Judged,
  said: string,
  details: object = {},
  cause?: unknown,
): ForgeError {
  const message = `group ${index} (sample ${sampleId}): ${stage}: ${said}`;
  return new ForgeError<ErrorCode>(
    code,
    message,
    { index, sampleId, function: stage, ...details },
    { cause },
  );
}

function checkCount(stage: Stage, group: Judged, values: unknown, episodes: number): void {
  const found = Array.isArray(values) ? String(values.length) : typeof values;
  if (found === String(episodes)) return;
  const said = `it gave ${found} ${stage === 'shape' ? 'rewards' : 'advantages'} for ${episodes} episodes`;
  throw failure('SHAPE_MISMATCH', stage, group, said, { episodes });
}

function checkNumber(stage: Stage, group: Judged, value: unknown, what: string): void {
  if (typeof value === 'number' && Math.abs(value) <= MAX_REWARD) return;
  const found = typeof value === 'number' ? String(value) : value === null ? 'null' : typeof value;
  const said = `${what} is ${found}; expected a finite number of at most ${MAX_REWARD}`;
  throw failure('NUMERIC_NON_FINITE', stage, group, said, { found });
}
