import type { Completion, Prompt, Sampling } from '@forge/contracts';
import type { PolicyHandle } from '../rollouts/rollout';
import type { ChatPolicy } from './chat-policy';
import { conversations, type ConversationSetting } from './conversations';

/** Completions to generate, one per rollout id. */
export interface NumberedCall {
  prompt: Prompt;
  rolloutIds: string[];
  sampling: Partial<Sampling>;
}

export interface PolicyHandleOptions
  extends
    Pick<ChatPolicy, 'renderChat' | 'bridgeChat' | 'parseAnswer'>,
    Pick<ConversationSetting, 'maxTokens' | 'clock' | 'count'> {
  /** Name of the rollout; with the seed of the policy it decides what is drawn. */
  id: string;
  generate(call: NumberedCall): Promise<Completion[]>;
}

/**
 * The policy as one rollout sees it. Completions are numbered, and those of each conversation for themselves, so that a
 * rollout that runs again draws the same, in whatever order its conversations go on.
 */
export function policyHandle({ id, generate, ...rest }: PolicyHandleOptions): PolicyHandle {
  const { renderChat, bridgeChat, parseAnswer, ...setting } = rest;
  const chat = { renderChat, bridgeChat, parseAnswer };
  const numbered = (prefix: string): ChatPolicy => {
    let completions = 0;
    return {
      ...chat,
      generate: (prompt, { n = 1, ...sampling } = {}) => {
        const rolloutIds = Array.from({ length: n }, () => `${prefix}-${completions++}`);
        return generate({ prompt, rolloutIds, sampling });
      },
    };
  };
  return {
    ...numbered(id),
    conversation: conversations((rollout) => ({ ...setting, policy: numbered(`${id}-c${rollout}`) })),
  };
}
