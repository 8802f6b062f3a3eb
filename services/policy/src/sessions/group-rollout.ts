import type { Completion, Episode } from '@forge/contracts';
import type { OpenConversation, RolloutContext } from '@forge/rl';

/** Surroundings of a group's rollout: those of any, and what agents need beside. */
export interface GroupContext extends RolloutContext {
  /** Index of the group, or the name of a rollout of an evaluation. */
  group: string;
  isEvaluation: boolean;
  /**
   * Conversations of one rollout, which draw the same whatever the other rollouts do; the first get completions that were
   * drawn before, in order, instead of new ones.
   */
  conversations: (rollout: number, drawn: readonly (readonly Completion[])[]) => OpenConversation;
}

/** The episodes of a group; every `Rollout` is one. */
export type GroupRollout = (context: GroupContext) => Promise<Episode[]>;
