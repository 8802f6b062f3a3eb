import type { Sample, Prompt } from '@forge/contracts';

/** A prompt with the completion a supervised model should give. */
export interface SupervisedPair {
  prompt: Prompt;
  completion: string;
}

/** An endless, seeded order of training samples, and the samples training never sees. */
export interface Task {
  /** Distinct training samples. */
  readonly size: number;
  /** The training sample at a position of the run, any whole number >= 0; a pure function of seed and position. */
  sample(index: number): Sample;
  /** A name of what makes the sample at that position hard, where the task knows: samples of one name are about as hard. */
  difficulty?(index: number): string;
  readonly heldOut: readonly Sample[];
  /** The pair to imitate at that position, where the task knows. */
  supervised?(index: number): SupervisedPair;
}
