import type { Completion, Prompt, Sampling } from '@forge/contracts';
import type { PolicyHandle } from '../rollouts/rollout';
import type { ChatPolicy } from './chat-policy';
import { conversations, type ConversationSetting } from './conversations';

/** Completions to generate, one per rollout id. */
export interface NumberedCall {
  prompt: Prompt;
  rolloutIds: string[];
  sampling: Partial<Sampling>;
  /** Completions that were drawn before, in another process: not to be drawn again. */
  drawn?: Completion[];
}

export interface PolicyHandleOptions
  extends
    Pick<ChatPolicy, 'renderChat' | 'bridgeChat' | 'parseAnswer'>,
    Pick<ConversationSetting, 'maxTokens' | 'clock' | 'count'> {
  /** Name of the rollout; with the seed of the policy it decides what is drawn. */
  id: string;
  /** By conversation, completions that were drawn before, in another process. */
  drawn?: readonly (readonly Completion[])[];
  generate(call: NumberedCall): Promise<Completion[]>;
}

/**
 * The policy as one rollout sees it. Completions are numbered, and those of each conversation for themselves, so that a
 * rollout that runs again draws the same, in whatever order its conversations go on.
 */
export function policyHandle({ id, drawn = [], generate, ...rest }: PolicyHandleOptions): PolicyHandle {
  const { renderChat, bridgeChat, parseAnswer, ...setting } = rest;
  const chat = { renderChat, bridgeChat, parseAnswer };
  const numbered = (prefix: string, before: readonly Completion[] = []): ChatPolicy => {
    let completions = 0;
    return {
      ...chat,
      generate: (prompt, { n = 1, ...sampling } = {}) => {
        const known = before.slice(completions, completions + n);
        const rolloutIds = Array.from({ length: n }, () => `${prefix}-${completions++}`);
        return generate({ prompt, rolloutIds, sampling, ...(known.length > 0 && { drawn: known }) });
      },
    };
  };
  return {
    ...numbered(id),
    conversation: conversations((rollout) => ({
      ...setting,
      policy: numbered(`${id}-c${rollout}`, drawn[rollout]),
    })),
  };
}
