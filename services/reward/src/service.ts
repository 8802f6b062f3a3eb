import { serveEndpoints } from '@forge/actors';
import { check, completionSchema, sampleSchema } from '@forge/contracts';
import { ForgeError } from '@forge/errors';
import { loadRewards, type ServiceContext, type ServiceInstance } from '@forge/service-kit';
import { z } from 'zod';

const requestSchema = z.array(z.strictObject({ sample: sampleSchema, completion: completionSchema })).max(4096);

/** Scores completions: `score` takes items and gives `{ score }` or `{ error }` for each. */
export async function start({ recipe, http, logger }: ServiceContext): Promise<ServiceInstance> {
  const rewards = await loadRewards(recipe);
  let busyMs = 0;

  async function score(argument: unknown): Promise<unknown> {
    const startedAt = performance.now();
    const items = check(requestSchema, argument, 'score request');
    const results = await Promise.all(
      items.map(async ({ sample, completion }) => {
        try {
          return { score: await rewards.score(sample, completion) };
        } catch (cause) {
          // One bad reward function must not take the other items with it.
          const error = cause instanceof ForgeError ? cause : new ForgeError('NUMERIC_NON_FINITE', `reward failed: ${String(cause)}`);
          logger.error({ err: cause, sampleId: sample.id }, 'reward failed');
          return { error: error.toWire() };
        }
      }),
    );
    busyMs += performance.now() - startedAt;
    return results;
  }

  serveEndpoints(http, { score });
  return { ready: () => true, drain: () => Promise.resolve(), totals: () => ({ busyMs }) };
}
