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
 * what it adds to them (a tool's answer, the user's next message) is context and gets mask 0.
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

/** The episodes with the reference model's log-probs of the tokens the policy chose. Shapes: logprobs [N][T]. */
export function withReference<E extends Episode>(
  episodes: readonly E[],
  logprobs: readonly ArrayLike<number>[],
): E[] {
  return episodes.map((episode, k) => ({
    ...episode,
    referenceLogprobs: Float32Array.from(episode.mask, (chosen, t) => (chosen === 1 ? logprobs[k]![t]! : 0)),
  }));
}
