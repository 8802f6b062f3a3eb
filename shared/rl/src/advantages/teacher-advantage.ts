import type { Episode, Worth } from '@forge/contracts';
import { ForgeError } from '@forge/errors';
import { groupRelativeAdvantage } from './group-relative-advantage';

export interface TeacherOptions {
  /** Weight of the teacher beside the rewards. */
  teacherCoefficient?: number | undefined;
  /** Weight of the teacher's word on the next token for this one: 0 leaves each its own. */
  teacherDiscount?: number | undefined;
}

/**
 * The reward's distance from the group's mean, less `teacherCoefficient` times log policy - log teacher of each token; with a
 * discount also of those behind it. The teacher's log-probs are the episode's `referenceLogprobs`.
 *
 * Shapes: rewards [G] -> [G][T], 0 where the mask is 0.
 *
 * @throws {ForgeError} CONTRACT_INVALID_MESSAGE for an episode that no teacher has seen.
 * @see Lu et al., "On-Policy Distillation" (2025)
 */
export function teacherAdvantage(
  options: TeacherOptions = {},
): (rewards: readonly number[], episodes: readonly Episode[]) => Worth[] {
  const { teacherCoefficient = 1, teacherDiscount = 0 } = options;
  const centered = groupRelativeAdvantage({ normalizeByStd: false });
  return (rewards, episodes) =>
    centered(rewards).map((advantage, i) => {
      const { mask, logprobs, referenceLogprobs } = episodes[i]!;
      if (referenceLogprobs === undefined) throw untaught();
      const worth = Array.from(mask, () => 0);
      let toCome = 0;
      for (let t = mask.length - 1; t >= 0; t--) {
        if (mask[t] !== 1) continue;
        const surplus = logprobs[t]! - referenceLogprobs[t]!;
        toCome = teacherDiscount * toCome - teacherCoefficient * surplus;
        worth[t] = advantage + toCome;
      }
      return worth;
    });
}

function untaught(): ForgeError {
  const message = 'an episode: referenceLogprobs: found none, expected the log-probs of the teacher';
  return new ForgeError('CONTRACT_INVALID_MESSAGE', message, { what: 'referenceLogprobs' });
}
