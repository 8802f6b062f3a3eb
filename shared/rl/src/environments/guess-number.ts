import type { ChatMessage, Sample } from '@forge/contracts';
import { ForgeError } from '@forge/errors';
import { defineEnvironment, type Environment, type EnvironmentSet, type Step } from './environment';
import { promptMessages } from './prompt-messages';

export interface GuessNumberOptions {
  /** Reward that is given for ruling numbers out, a share of 1; the rest is for the number. Default 0. */
  partialCredit?: number;
}

/**
 * A game of several turns: the answer of the sample is a whole number, its prompt says between which two, and each guess is
 * told `higher`, `lower`, or `number?` where it has none. The reward is 1 in all for who finds the number. Partial credit is
 * given guess by guess: for what is ruled out in bits, of those that tell all the numbers apart.
 *
 * @throws {ForgeError} (from a rollout) CONFIG_DATASET_INVALID naming the sample whose prompt or answer is none of a game.
 */
export function guessNumber({ partialCredit = 0 }: GuessNumberOptions = {}): EnvironmentSet {
  return defineEnvironment(() => new Game(partialCredit), { name: 'guess-number' });
}

class Game implements Environment {
  private secret = 0;
  private low = 0;
  private high = 0;
  private bits = 0;
  private earned = 0;

  constructor(private readonly partialCredit: number) {}

  reset(sample: Sample): ChatMessage[] {
    const messages = promptMessages(sample);
    const [low, high] = (messages.at(-1)?.content.match(/-?\d+/g) ?? []).map(Number);
    const secret = Number(sample.answer ?? NaN);
    if (low === undefined || high === undefined || !(low <= secret && secret <= high && low < high)) {
      const message = `found ${sample.answer ?? 'no answer'} between ${low} and ${high}, expected a number between two others of the prompt`;
      throw new ForgeError('CONFIG_DATASET_INVALID', message);
    }
    Object.assign(this, { low, high, secret, bits: Math.log2(high - low + 1) });
    return messages;
  }

  step({ content }: ChatMessage): Step {
    const [found] = /-?\d+(?!.*\d)/s.exec(content) ?? [];
    if (found === undefined) return { observation: 'number?' };
    const guess = Number(found);
    if (guess === this.secret) return { reward: 1 - this.earned, done: true };
    if (guess < this.secret) this.low = Math.max(this.low, guess + 1);
    else this.high = Math.min(this.high, guess - 1);
    return { reward: this.newlyEarned(), observation: guess < this.secret ? 'higher' : 'lower' };
  }

  private newlyEarned(): number {
    const left = Math.log2(this.high - this.low + 1);
    const reward = this.partialCredit * (1 - left / this.bits) - this.earned;
    this.earned += reward;
    return reward;
  }
}
