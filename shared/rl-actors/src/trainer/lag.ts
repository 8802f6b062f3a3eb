import type { Episode } from '@forge/contracts';
import { ForgeError } from '@forge/errors';

/** Lag of the tokens of a batch, in policy versions behind the trained one. */
export interface LagStatistics extends Record<`lag/share/${string}`, number> {
  'lag/mean': number;
  'lag/max': number;
}

/** Larger lags share one bucket of the histogram. */
const LARGEST_BUCKET = 16;

/** Episodes under a name that errors call them by. */
export interface NamedEpisodes {
  name: string;
  episodes: readonly Pick<Episode, 'mask' | 'versions'>[];
}

/**
 * The lag of every token that is about to enter the gradient of `step`: the last check of the staleness bound.
 *
 * @throws {ForgeError} STALE_EPISODE when a token is older than `maxStaleness` allows, or newer than the policy it is
 *   trained on.
 */
export function checkLag(step: number, parts: readonly NamedEpisodes[], maxStaleness: number): LagStatistics {
  let max = 0;
  let sum = 0;
  let tokens = 0;
  const counts = new Map<number, number>();
  for (const { name, episodes } of parts) {
    for (const { mask, versions } of episodes) {
      for (const [t, version] of versions.entries()) {
        if (mask[t] === 0) continue;
        const lag = step - version;
        if (lag > maxStaleness || lag < 0) {
          throw new ForgeError(
            'STALE_EPISODE',
            `${name}: a token of version ${version} reached the gradient of step ${step}; expected a lag of 0..${maxStaleness}`,
            { name, version, step, maxStaleness },
          );
        }
        if (lag > max) max = lag;
        sum += lag;
        tokens += 1;
        const bucket = Math.min(lag, LARGEST_BUCKET);
        counts.set(bucket, (counts.get(bucket) ?? 0) + 1);
      }
    }
  }
  const histogram: Record<`lag/share/${string}`, number> = {};
  for (const [bucket, count] of counts)
    histogram[`lag/share/${bucket === LARGEST_BUCKET ? `${bucket}+` : bucket}`] = count / tokens;
  return { 'lag/mean': tokens === 0 ? 0 : sum / tokens, 'lag/max': max, ...histogram };
}
