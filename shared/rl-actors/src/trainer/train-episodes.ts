import { decode, groupSchema, rolloutsOf, type Batch, type Group } from '@forge/contracts';
import { ForgeError } from '@forge/errors';
import type { TrainEpisode } from '@forge/model';

/** The groups of a batch, in its order, from their encoded form. */
export function decodeGroups(batch: Batch, payloads: readonly Uint8Array[]): Group[] {
  return batch.groups.map(({ index }, i) => decode(groupSchema, payloads[i]!, `group ${index}`));
}

/**
 * The episodes of a batch that are trained on with their advantages, in the order of the batch; rollouts are numbered through all
 * groups.
 *
 * @throws {ForgeError} BUG_INVARIANT when batch and groups do not belong together.
 */
export function trainEpisodes(batch: Batch, groups: readonly Group[]): TrainEpisode[] {
  let next = 0;
  return batch.groups.flatMap(({ index, advantages }, i) => {
    const group = groups[i];
    if (group?.index !== index || group.episodes.length !== advantages.length) {
      throw new ForgeError(
        'BUG_INVARIANT',
        `batch ${batch.version}: found group ${group?.index} with ${group?.episodes.length} episodes, expected group ${index} with ${advantages.length}`,
        { batch: batch.version, index },
      );
    }
    const rollouts = rolloutsOf(group.episodes).flatMap((parts) => {
      const rollout = next++;
      return parts.map(() => rollout);
    });
    return group.episodes.flatMap((episode, k) => {
      const advantage = advantages[k]!;
      return advantage === null ? [] : [{ ...episode, rollout: rollouts[k]!, advantage }];
    });
  });
}
