import type { Completion, Episode } from '@forge/contracts';
import { ForgeError } from '@forge/errors';
import type { Score } from './rollout';

/** The episode of one scored completion: prompt tokens are context, completion tokens are trained on. */
export function episode(completion: Completion, score: Score): Episode {
  return episodeFromTurns([completion], score);
}

/**
 * The episode of a conversation, from the completions of the policy in order.
 *
 * Each completion's prompt must begin with all tokens so far (the earlier prompt and what the policy answered);
 * additions to them (a tool's answer, the user's next message) are context and get mask 0.
 *
 * @throws {ForgeError} CONTRACT_INVALID_MESSAGE when a prompt does not continue the tokens so far, e.g. because the
 *   history was re-tokenised from text: the recorded log-probs would belong to other tokens.
 */
export function episodeFromTurns(turns: readonly Completion[], score: Score): Episode {
  const tokenIds: number[] = [];
  const mask: number[] = [];
  const logprobs: number[] = [];
  const versions: number[] = [];
  turns.forEach((turn, i) => {
    const divergence = tokenIds.findIndex((token, t) => turn.promptTokenIds[t] !== token);
    if (divergence >= 0) {
      throw new ForgeError(
        'CONTRACT_INVALID_MESSAGE',
        `turn ${i}: its prompt differs from the conversation so far at token ${divergence}: ` +
          `found ${turn.promptTokenIds[divergence] ?? 'the end'}, expected ${tokenIds[divergence]}; ` +
          'continue from the token ids of the earlier turns, or make one episode per turn',
        { turn: i, token: divergence },
      );
    }
    for (const token of turn.promptTokenIds.slice(tokenIds.length)) {
      tokenIds.push(token);
      mask.push(0);
      logprobs.push(0);
      versions.push(-1);
    }
    turn.tokenIds.forEach((token, t) => {
      tokenIds.push(token);
      mask.push(1);
      logprobs.push(turn.logprobs[t]!);
      versions.push(turn.versions[t]!);
    });
  });
  return {
    tokenIds: Int32Array.from(tokenIds),
    mask: Uint8Array.from(mask),
    logprobs: Float32Array.from(logprobs),
    versions: Int32Array.from(versions),
    ...score,
    text: turns.map(({ text }) => text).join('\n'),
  };
}

/**
 * Judgement of a sequence by the reference model.
 *
 * Shapes: logprobs [T]; those of `top`, where it was asked for, [T, K].
 */
export interface ReferenceScore {
  logprobs: ArrayLike<number>;
  top?: { tokenIds: Int32Array; logprobs: Float32Array } | undefined;
}

/** The episodes with what the reference model says of the tokens that the policy chose. Shapes: scores [N]. */
export function withReference<E extends Episode>(
  episodes: readonly E[],
  scores: readonly ReferenceScore[],
): E[] {
  return episodes.map((episode, k) => {
    const { mask } = episode;
    const { logprobs, top } = scores[k]!;
    const count = top === undefined ? 0 : top.tokenIds.length / mask.length;
    const isChosen = (_: number, i: number): boolean => mask[Math.floor(i / count)] === 1;
    return {
      ...episode,
      referenceLogprobs: Float32Array.from(mask, (chosen, t) => (chosen === 1 ? logprobs[t]! : 0)),
      ...(top !== undefined && {
        referenceTop: { tokenIds: top.tokenIds.filter(isChosen), logprobs: top.logprobs.filter(isChosen) },
      }),
    };
  });
}
