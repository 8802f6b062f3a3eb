import { check, scoreItemsSchema, type ScoreItem } from '@forge/contracts';
import { ForgeError, within, type WireError } from '@forge/errors';
import type { RewardHandle, Score } from '@forge/rl';
import { RewardSpans } from './reward-spans';

/** Result of an item: its score, or what its reward threw. One bad item does not take the others with it. */
export type ScoreResult = { score: Score } | { error: WireError };

/**
 * Scores items, in their order. One that is not scored after `timeoutMs` has failed with TRANSIENT_TIMEOUT; a reward that
 * does not let go of the event loop can't be told from here.
 *
 * @throws {ForgeError} CONTRACT_INVALID_MESSAGE when they are no array of sample and completion.
 */
export async function scoreEach(
  rewards: RewardHandle,
  items: readonly ScoreItem[],
  timeoutMs: number,
): Promise<ScoreResult[]> {
  const spans = new RewardSpans();
  let traceparent: string | null | undefined;
  const results = await Promise.all(
    check(scoreItemsSchema, items, 'score request').map(
      async ({ sample, completion, traceparent: own = traceparent }) => {
        traceparent = own;
        try {
          const scored = rewards.score(sample, completion, spans.observe(own));
          return { score: await inTime(timeoutMs, scored) };
        } catch (cause) {
          return { error: describe(cause, sample.id) };
        }
      },
    ),
  );
  spans.end();
  return results;
}

/** The error with what helps to repair the reward: the sample and, of an exception of its own, the stack. */
function describe(cause: unknown, sampleId: string): WireError {
  const wire = ForgeError.from(cause).toWire();
  const stack = cause instanceof Error && !(cause instanceof ForgeError) ? { stack: cause.stack } : {};
  return { ...wire, details: { ...wire.details, sampleId, ...stack } };
}

function inTime<T>(timeoutMs: number, score: Promise<T>): Promise<T> {
  return within(timeoutMs, score, () => {
    const message = `the rewards of a completion took longer than reward.timeoutMs, ${timeoutMs} ms`;
    throw new ForgeError('TRANSIENT_TIMEOUT', message, { timeoutMs });
  });
}
