import { epochOrder } from './permutation';
import type { Task } from './task';

/** Texts for the policy to continue, without an answer; nothing is held out. Sample ids are `prompt-<position>`. */
export function promptsTask(prompts: readonly string[], { seed }: { seed: number }): Task {
  const order = epochOrder(prompts.length, seed);
  return {
    size: prompts.length,
    sample(index) {
      const position = order(index);
      return { id: `prompt-${position}`, prompt: prompts[position]! };
    },
    heldOut: [],
  };
}
