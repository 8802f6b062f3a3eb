import type { Group } from '@forge/contracts';
import { ForgeError } from '@forge/errors';

/** Lag of the tokens of a batch, in policy versions behind the trained one. */
export interface LagStatistics {
  'lag/mean': number;
  'lag/max': number;
}

/**
 * The lag of every token that is about to enter the gradient of `step`: the last check of the staleness bound.
 *
 * @throws {ForgeError} BUG_INVARIANT when a token is older than `maxStaleness` allows, or newer than the policy
 *   it is trained on; admission and the replay buffer have let it through.
 */
export function checkLag(step: number, groups: readonly Group[], maxStaleness: number): LagStatistics {
  let max = 0;
  let sum = 0;
  let tokens = 0;
  for (const { index, episodes } of groups) {
    for (const { mask, versions } of episodes) {
      for (const [t, version] of versions.entries()) {
        if (mask[t] === 0) continue;
        const lag = step - version;
        if (lag > maxStaleness || lag < 0) {
          throw new ForgeError(
            'BUG_INVARIANT',
            `group ${index}: a token of version ${version} reached the gradient of step ${step}; expected a lag of 0..${maxStaleness}`,
            { index, version, step, maxStaleness },
          );
        }
        if (lag > max) max = lag;
        sum += lag;
        tokens += 1;
      }
    }
  }
  return { 'lag/mean': tokens === 0 ? 0 : sum / tokens, 'lag/max': max };
}
