import { rolloutsOf, type Episode, type Worth } from '@forge/contracts';
import { ForgeError } from '@forge/errors';

/**
 * One episode for each rollout: itself, or its parts end to end, so that what is asked of an episode (how many tokens the policy
 * chose, which is the last, what each costs) is answered for the rollout.
 *
 * Edge: the context of a part is there again in the next one, with mask 0.
 */
export function wholeRollouts(episodes: readonly Episode[]): Episode[] {
  return rolloutsOf(episodes).map((parts) => (parts.length === 1 ? parts[0]! : endToEnd(parts)));
}

/**
 * The worth of every part, from that of each rollout: one number is that of all its parts, those by token are each part's own.
 *
 * Shapes: worths [rollouts], lengths [rollouts][parts], in tokens -> [episodes].
 *
 * @throws {ForgeError} SHAPE_MISMATCH where those by token are not as many as the tokens of all parts.
 */
export function worthsOfParts(worths: readonly Worth[], lengths: readonly (readonly number[])[]): Worth[] {
  return lengths.flatMap((parts, i): Worth[] => {
    const worth = worths[i]!;
    if (typeof worth === 'number' || parts.length === 1) return parts.map(() => worth);
    const tokens = parts.reduce((sum, length) => sum + length, 0);
    if (worth.length !== tokens) throw unmapped(i, worth.length, parts);
    let start = 0;
    return parts.map((length) => worth.slice(start, (start += length)));
  });
}

function unmapped(rollout: number, found: number, parts: readonly number[]): ForgeError {
  const tokens = parts.reduce((sum, length) => sum + length, 0);
  return new ForgeError(
    'SHAPE_MISMATCH',
    `rollout ${rollout} has ${found} advantages; expected one number, or ${tokens}, one for each token of its ${parts.length} parts`,
    { rollout, found, tokens },
  );
}

function endToEnd(parts: readonly Episode[]): Episode {
  const starts = startsOf(parts);
  const turns = parts.flatMap((part, i) =>
    (part.turns ?? []).map(({ end, reward }) => ({ end: starts[i]! + end, reward })),
  );
  const messages = parts.flatMap(({ conversation = [] }) => conversation);
  const reference = parts.flatMap(({ referenceLogprobs = [] }) => [...referenceLogprobs]);
  const tokenIds = Int32Array.from(parts.flatMap((part) => [...part.tokenIds]));
  return {
    ...parts.at(-1)!,
    tokenIds,
    mask: Uint8Array.from(parts.flatMap(({ mask }) => [...mask])),
    logprobs: Float32Array.from(parts.flatMap(({ logprobs }) => [...logprobs])),
    versions: Int32Array.from(parts.flatMap(({ versions }) => [...versions])),
    referenceLogprobs: reference.length === tokenIds.length ? Float32Array.from(reference) : undefined,
    referenceTop: undefined,
    text: parts.map(({ text }) => text).join('\n'),
    turns: turns.length > 0 ? turns : undefined,
    conversation: messages.length > 0 ? messages : undefined,
  };
}

/** Begin of each part when they stand end to end. */
function startsOf(parts: readonly Episode[]): number[] {
  let next = 0;
  return parts.map(({ tokenIds }) => {
    const start = next;
    next += tokenIds.length;
    return start;
  });
}
