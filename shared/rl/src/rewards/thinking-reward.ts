import { PYTHON_SPACE } from './python-float';
import type { Reward } from './reward';

export interface ThinkingRewardOptions {
  /** Reward of a tag without a block, or of an empty block. */
  partialReward?: number;
  /** Reward of a block with content. */
  fullReward?: number;
}

const S = `[${PYTHON_SPACE}]*`;
/** Python's IGNORECASE also takes the dotless and the dotted capital i for an i. */
const THINK = 'th[iıİ]nk';
const TAG = new RegExp(`<${S}(/${S})?${THINK}${S}>`, 'giu');
const CONTENT = new RegExp(`[^${PYTHON_SPACE}]`);

/**
 * `fullReward` for a non-empty `<think>…</think>` block, `partialReward` for any think tag, else 0. The sample plays no
 * part. torchforge's ThinkingReward.
 */
export function thinkingReward({ partialReward = 0.2, fullReward = 1 }: ThinkingRewardOptions = {}): Reward {
  return {
    name: 'thinking',
    score(_sample, text) {
      const tags = [...text.matchAll(TAG)];
      if (blocksOf(text, tags).some((content) => CONTENT.test(content))) return fullReward;
      return tags.length > 0 ? partialReward : 0;
    },
  };
}

/** The text from each tag that opens to the next one that closes; tags between open no block. */
function blocksOf(text: string, tags: readonly RegExpExecArray[]): string[] {
  let start: number | null = null;
  const blocks: string[] = [];
  for (const { 0: tag, 1: slash, index } of tags) {
    if (slash === undefined) start ??= index + tag.length;
    else if (start !== null) {
      blocks.push(text.slice(start, index));
      start = null;
    }
  }
  return blocks;
}
