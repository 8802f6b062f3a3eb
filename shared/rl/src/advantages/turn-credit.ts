import type { Episode, Worth } from '@forge/contracts';
import { ForgeError } from '@forge/errors';
import type { Advantage } from '../algorithms/algorithm';

/** A turn of a rollout: tokens from `start` up to `end`, and what they brought. */
interface Turn {
  start: number;
  end: number;
  reward: number;
}

/**
 * An advantage for each turn in place of one for the rollout. The return of turn i is its reward and `turnDiscount` times that of
 * turn i + 1; the turns of all rollouts of a group are then compared as if each were a rollout of its own.
 *
 * All that a rollout's reward has beyond the sum of its turns' (the score at the end, what shaping adds) is the last turn's, so that
 * with a discount of 1 the first turn's return is that reward.
 *
 * Shapes: rewards [G] -> [G][T], 0 where the mask is 0.
 * Edge:   a rollout that says nothing of turns is one turn.
 * @throws {ForgeError} SHAPE_MISMATCH when `advantage` gives a turn no number.
 * @see returns as AReaL's `turn_discount`; each turn a sample of the group as in Baronio et al., "Kevin: Multi-Turn RL for
 *   Generating CUDA Kernels" (2025)
 */
export function turnCredit(advantage: Advantage, turnDiscount: number): Advantage {
  return (rewards, episodes) => {
    const turns = episodes.map((episode, i) => turnsOf(episode, rewards[i]!));
    const returns = turns.flatMap((ofRollout) => returnsOf(ofRollout, turnDiscount));
    const views = turns.flatMap((ofRollout, i) => ofRollout.map((turn) => viewOf(episodes[i]!, turn)));
    const worths = advantage(returns, views);
    let next = 0;
    return turns.map((ofRollout, i) => {
      const own = worths.slice(next, (next += ofRollout.length));
      return spread(episodes[i]!, ofRollout, own);
    });
  };
}

/** The turns of a rollout, the last one up to its end. */
function turnsOf(episode: Episode, reward: number): Turn[] {
  const told = episode.turns ?? [];
  const rest = told.reduce((left, turn) => left - turn.reward, reward);
  const length = episode.tokenIds.length;
  if (told.length === 0) return [{ start: 0, end: length, reward }];
  return told.map((turn, i) => {
    const isLast = i === told.length - 1;
    return {
      start: told[i - 1]?.end ?? 0,
      end: isLast ? length : turn.end,
      reward: turn.reward + (isLast ? rest : 0),
    };
  });
}

function returnsOf(turns: readonly Turn[], turnDiscount: number): number[] {
  let next = 0;
  return turns
    .toReversed()
    .map(({ reward }) => (next = reward + turnDiscount * next))
    .reverse();
}

/** The rollout as it is seen when only one turn of it counts. */
function viewOf(episode: Episode, { start, end, reward }: Turn): Episode {
  const mask = episode.mask.map((chosen, t) => (t >= start && t < end ? chosen : 0));
  return { ...episode, mask, reward };
}

function spread({ mask }: Episode, turns: readonly Turn[], worths: readonly Worth[]): Worth {
  const perToken = Array.from(mask, () => 0);
  turns.forEach(({ start, end }, i) => {
    const worth = worths[i];
    if (typeof worth !== 'number') throw notByTurn(worth);
    for (let t = start; t < end; t++) if (mask[t] === 1) perToken[t] = worth;
  });
  return perToken;
}

function notByTurn(found: Worth | undefined): ForgeError {
  const message = `turnDiscount: found ${found === undefined ? 'no advantage' : 'advantages by token'} of a turn, expected a number; leave it out with an algorithm that gives credit itself`;
  return new ForgeError('SHAPE_MISMATCH', message, { field: 'turnDiscount' });
}
