/** The part of an episode that says which rollout it is of. */
interface Part {
  rollout?: number | undefined;
}

/** The episodes of each rollout: its parts, in order; one where it was never cut. */
export function rolloutsOf<E extends Part>(episodes: readonly E[]): E[][] {
  const rollouts: E[][] = [];
  for (const [i, episode] of episodes.entries()) {
    const { rollout } = episode;
    if (rollout !== undefined && rollout === episodes[i - 1]?.rollout) rollouts.at(-1)!.push(episode);
    else rollouts.push([episode]);
  }
  return rollouts;
}

/** Fault of a group's episodes as parts of rollouts; null: none. */
export function partsFault(
  episodes: readonly (Part & { reward: number; end?: string | undefined })[],
): string | null {
  for (const [i, episode] of episodes.entries()) {
    const before = episodes[i - 1];
    if (before === undefined) continue;
    const [last, rollout] = [before.rollout, episode.rollout];
    if ((last === undefined) !== (rollout === undefined))
      return `expected a rollout in all or in none, found ${rollout ?? 'none'} in episode ${i} after ${last ?? 'none'}`;
    if (last === undefined || rollout === undefined || rollout > last) continue;
    if (rollout < last)
      return `expected the parts of a rollout side by side, in order: found rollout ${rollout} after ${last} in episode ${i}`;
    for (const field of ['reward', 'end'] as const) {
      if (episode[field] === before[field]) continue;
      return `expected one ${field} of rollout ${rollout} in all its parts, found ${before[field]} and ${episode[field]}`;
    }
  }
  return null;
}
