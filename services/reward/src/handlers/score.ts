import { check, completionSchema, sampleSchema } from '@forge/contracts';
import { ForgeError, type WireError } from '@forge/errors';
import type { RewardHandle, Score } from '@forge/rl';
import type { Logger } from '@forge/telemetry';
import { z } from 'zod';

const requestSchema = z
  .array(z.strictObject({ sample: sampleSchema, completion: completionSchema }))
  .max(4096);

/** What an item gets: its score, or what its reward threw. One bad item does not take the others with it. */
export type ScoreResult = { score: Score } | { error: WireError };

/**
 * Scores the items of a request, in their order.
 *
 * @throws {ForgeError} CONTRACT_INVALID_MESSAGE when the request is no array of sample and completion.
 */
export async function score(rewards: RewardHandle, request: unknown, logger: Logger): Promise<ScoreResult[]> {
  const items = check(requestSchema, request, 'score request');
  return Promise.all(
    items.map(async ({ sample, completion }) => {
      try {
        return { score: await rewards.score(sample, completion) };
      } catch (cause) {
        logger.error({ err: cause, sampleId: sample.id }, 'reward failed');
        return { error: ForgeError.from(cause).toWire() };
      }
    }),
  );
}
