import { PYTHON_SPACE } from './python-float';
import type { Reward } from './reward';

export interface ThinkingRewardOptions {
  /** For a tag without a block, or an empty block. */
  partialReward?: number;
  /** For a block with content. */
  fullReward?: number;
}

const S = `[${PYTHON_SPACE}]*`;
/** Python's IGNORECASE also takes the dotless and the dotted capital i for an i. */
const THINK = 'th[iıİ]nk';
const BLOCK = new RegExp(`<${S}${THINK}${S}>(.*?)<${S}/${S}${THINK}${S}>`, 'gisu');
const TAG = new RegExp(`<${S}/?${S}${THINK}${S}>`, 'iu');
const CONTENT = new RegExp(`[^${PYTHON_SPACE}]`);

/**
 * `fullReward` for a non-empty `<think>…</think>` block, `partialReward` for any think tag, else 0. The sample plays no
 * part. torchforge's ThinkingReward.
 */
export function thinkingReward({ partialReward = 0.2, fullReward = 1 }: ThinkingRewardOptions = {}): Reward {
  return {
    name: 'thinking',
    score(_sample, text) {
      if ([...text.matchAll(BLOCK)].some(([, content = '']) => CONTENT.test(content))) return fullReward;
      return TAG.test(text) ? partialReward : 0;
    },
  };
}
