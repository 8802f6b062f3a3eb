import { rolloutsOf } from '@forge/contracts';
import { ForgeError } from '@forge/errors';
import { alikeEpisodes } from './alike-episodes';

/**
 * The part of one episode that the train step needs. Where `mask` is 1 the token is trained; `versions` says which policy
 * version produced it, -1 for a token no policy produced (supervised data).
 *
 * Shapes: every array [tokens of the episode], unless it says otherwise.
 */
export interface TrainEpisode {
  tokenIds: ArrayLike<number>;
  mask: ArrayLike<number>;
  logprobs: ArrayLike<number>;
  versions: ArrayLike<number>;
  referenceLogprobs?: ArrayLike<number> | undefined;
  /** Tokens that the reference finds likeliest in place of each with mask 1. Shapes: [tokens with mask 1, K]. */
  referenceTop?: { tokenIds: ArrayLike<number>; logprobs: ArrayLike<number> } | undefined;
  /** One for every token, or one for each. */
  advantage: number | ArrayLike<number>;
  /** Episodes side by side with the same number are parts of one rollout; left out: it is a rollout of its own. */
  rollout?: number | undefined;
}

/**
 * Episodes of similar length side by side, padded on the right to the longest. Those alike go through the model as one row.
 *
 * Shapes: tokens [D, T]; the rest [B, T] by predicted token: position t of a row predicts token t + 1 of the
 * episode, so T = tokens of the longest episode - 1. B episodes, D of which differ in what goes through the model.
 */
export interface MicroBatch {
  /** Index of each row's episode in the batch. */
  episodes: readonly number[];
  /** Index of each row's rollout in the batch, and the trained tokens of all its parts. */
  rollouts: readonly number[];
  rolloutTokens: Float32Array;
  rows: number;
  width: number;
  /** Rows that go through the model, and the one of each episode [B]. */
  distinct: number;
  rowOf: BigInt64Array;
  tokens: BigInt64Array;
  mask: Float32Array;
  behaviour: Float32Array;
  reference: Float32Array;
  /** Tokens that the reference finds likeliest in place of each target, where the loss looks at them. Shapes: [N, K]. */
  top: { tokens: BigInt64Array; logprobs: Float32Array; count: number } | null;
  /** Set anew where a critic makes advantages of rewards. */
  advantages: Float32Array;
  /** Terms of a loss that are zeros until the trainer has computed them, where it has to. */
  old: Float32Array;
  values: Float32Array;
  oldValues: Float32Array;
  returns: Float32Array;
  /** Version that produced the predicted token; -1 where none did. */
  versions: Int32Array;
  /** Flat positions [N] in [D, T] whose prediction is trained, ascending, and the tokens [N] they predict. */
  trainedPositions: BigInt64Array;
  targets: BigInt64Array;
  /** The index in `trainedPositions` of each flat position [D, T]; N where it is not trained. */
  trainedIndex: BigInt64Array;
}

export interface CutOptions {
  /** Indices of the episodes to cut; all of them unless given. */
  chosen?: readonly number[];
  /** An advantage that is one number goes to every trained token unless it is a reward, for the last one of the rollout. */
  isReward?: boolean;
  /** Tokens of the reference that every episode must have in each place; 0 unless given. */
  referenceTop?: number;
}

/**
 * The batch, or the `chosen` episodes of it, cut into micro-batches of at most `maxTokens` padded tokens, longest episodes first;
 * an episode longer than that goes alone; episodes alike are padded, and counted, once. Episodes of equal length keep their order, so the same batch always gives the
 * same micro-batches.
 *
 * @throws {ForgeError} CONTRACT_INVALID_MESSAGE when an episode has arrays of unequal length, not as many tokens of the reference
 *   as it must, or trains no token.
 */
export function cutMicroBatches(
  episodes: readonly TrainEpisode[],
  maxTokens: number,
  { chosen = [...episodes.keys()], isReward = false, referenceTop = 0 }: CutOptions = {},
): MicroBatch[] {
  for (const index of chosen) checkEpisode(episodes[index]!, index, referenceTop);
  const predictions = (index: number): number => episodes[index]!.tokenIds.length - 1;
  const rolloutOf = rolloutOfEach(episodes);
  const longestFirst = [...chosen].sort((a, b) => predictions(b) - predictions(a) || a - b);
  const distinct = alikeEpisodes(episodes, longestFirst);
  const batches: MicroBatch[] = [];
  for (let start = 0; start < distinct.length;) {
    const width = predictions(distinct[start]![0]!);
    const rows = Math.max(1, Math.floor(maxTokens / width));
    const inIt = distinct.slice(start, start + rows);
    batches.push({
      ...termsOf(episodes, inIt.flat(), { width, isReward, rolloutOf }),
      ...rowsOf(episodes, inIt, width),
      top:
        referenceTop === 0
          ? null
          : topOf(
              inIt.map(([index]) => episodes[index!]!),
              referenceTop,
            ),
    });
    start += rows;
  }
  return batches;
}

/**
 * Per-token outputs of a micro-batch's trained tokens at their places. Shapes: [N] -> [B, T], zeros elsewhere.
 */
export function spread(batch: MicroBatch, perToken: Float32Array): Float32Array {
  const { trainedPositions, rows, width, distinct, rowOf } = batch;
  const computed = new Float32Array(distinct * width);
  trainedPositions.forEach((at, n) => {
    computed[Number(at)] = perToken[n]!;
  });
  const grid = new Float32Array(rows * width);
  rowOf.forEach((from, row) => {
    grid.set(computed.subarray(Number(from) * width, (Number(from) + 1) * width), row * width);
  });
  return grid;
}

/** Predicted tokens that are trained. The first token of an episode is never predicted. */
export function countTrainedTokens(episode: TrainEpisode): number {
  const { mask } = episode;
  let count = 0;
  for (let t = 1; t < mask.length; t++) count += mask[t]!;
  return count;
}

/** Index of each episode's rollout in the batch. */
export function rolloutOfEach(episodes: readonly TrainEpisode[]): number[] {
  return rolloutsOf(episodes).flatMap((parts, i) => parts.map(() => i));
}

/** The tokens of the reference in place of each trained one, in order of position. */
function topOf(episodes: readonly TrainEpisode[], count: number): NonNullable<MicroBatch['top']> {
  const trained = episodes.map(({ mask, referenceTop }) => {
    // The first token of an episode is never predicted.
    const from = mask[0] === 1 ? count : 0;
    const { tokenIds, logprobs } = referenceTop!;
    return { tokenIds: Array.from(tokenIds).slice(from), logprobs: Array.from(logprobs).slice(from) };
  });
  return {
    tokens: BigInt64Array.from(trained.flatMap(({ tokenIds }) => tokenIds.map(BigInt))),
    logprobs: Float32Array.from(trained.flatMap(({ logprobs }) => logprobs)),
    count,
  };
}

type Rows = Pick<
  MicroBatch,
  'distinct' | 'rowOf' | 'tokens' | 'trainedPositions' | 'targets' | 'trainedIndex'
>;

/** The rows that go through the model, each of episodes alike. */
function rowsOf(episodes: readonly TrainEpisode[], alike: readonly number[][], width: number): Rows {
  const size = alike.length * width;
  const trained = alike.reduce((count, [first]) => count + countTrainedTokens(episodes[first!]!), 0);
  const rows: Rows = {
    distinct: alike.length,
    rowOf: BigInt64Array.from(alike.flatMap((same, row) => same.map(() => BigInt(row)))),
    tokens: new BigInt64Array(size),
    trainedPositions: new BigInt64Array(trained),
    targets: new BigInt64Array(trained),
    trainedIndex: new BigInt64Array(size).fill(BigInt(trained)),
  };
  let next = 0;
  alike.forEach(([first], row) => {
    const { tokenIds, mask } = episodes[first!]!;
    for (let t = 0; t + 1 < tokenIds.length; t++) {
      const at = row * width + t;
      rows.tokens[at] = BigInt(tokenIds[t]!);
      if (mask[t + 1] !== 1) continue;
      rows.trainedPositions[next] = BigInt(at);
      rows.targets[next] = BigInt(tokenIds[t + 1]!);
      rows.trainedIndex[at] = BigInt(next);
      next += 1;
    }
  });
  return rows;
}

function termsOf(
  episodes: readonly TrainEpisode[],
  chosen: readonly number[],
  { width, isReward, rolloutOf }: { width: number; isReward: boolean; rolloutOf: readonly number[] },
): Omit<MicroBatch, keyof Rows | 'top'> {
  const [rows, size] = [chosen.length, chosen.length * width];
  const rollouts = chosen.map((index) => rolloutOf[index]!);
  const isLastPart = (index: number): boolean => rolloutOf[index] !== rolloutOf[index + 1];
  const terms = {
    episodes: chosen,
    rollouts,
    rolloutTokens: Float32Array.from(rollouts, (rollout) => trainedTokens(episodes, rolloutOf, rollout)),
    rows,
    width,
    mask: new Float32Array(size),
    behaviour: new Float32Array(size),
    reference: new Float32Array(size),
    advantages: new Float32Array(size),
    old: new Float32Array(size),
    values: new Float32Array(size),
    oldValues: new Float32Array(size),
    returns: new Float32Array(size),
    versions: new Int32Array(size).fill(-1),
  };
  chosen.forEach((index, row) => {
    const { tokenIds, mask, logprobs, versions, referenceLogprobs, advantage } = episodes[index]!;
    const last = isLastPart(index) ? Array.prototype.lastIndexOf.call(mask, 1) - 1 : -1;
    for (let t = 0; t + 1 < tokenIds.length; t++) {
      const at = row * width + t;
      if (mask[t + 1] !== 1) continue;
      terms.mask[at] = 1;
      terms.behaviour[at] = logprobs[t + 1]!;
      terms.reference[at] = referenceLogprobs?.[t + 1] ?? 0;
      if (typeof advantage !== 'number') terms.advantages[at] = advantage[t + 1]!;
      else if (!isReward || t === last) terms.advantages[at] = advantage;
      terms.versions[at] = versions[t + 1]!;
    }
  });
  return terms;
}

/** Trained tokens of all parts of a rollout, which stand together. */
function trainedTokens(
  episodes: readonly TrainEpisode[],
  rolloutOf: readonly number[],
  rollout: number,
): number {
  let count = 0;
  for (let i = rolloutOf.indexOf(rollout); rolloutOf[i] === rollout; i++)
    count += countTrainedTokens(episodes[i]!);
  return count;
}

function checkEpisode(episode: TrainEpisode, index: number, referenceTop: number): void {
  const length = episode.tokenIds.length;
  const { mask, logprobs, versions, referenceLogprobs, advantage } = episode;
  const fields = {
    mask,
    logprobs,
    versions,
    ...(referenceLogprobs ? { referenceLogprobs } : {}),
    ...(typeof advantage === 'number' ? {} : { advantage }),
  };
  for (const [field, values] of Object.entries(fields)) {
    if (values.length === length) continue;
    throw invalid(index, field, `has ${values.length} entries, tokenIds ${length}: they must be equal`);
  }
  if (countTrainedTokens(episode) === 0) {
    throw invalid(index, 'mask', 'selects no token after the first: nothing to train on');
  }
  if (referenceTop === 0) return;
  const expected = referenceTop * Array.from(mask).reduce((sum, one) => sum + one, 0);
  const found = episode.referenceTop?.tokenIds.length ?? 0;
  if (found !== expected)
    throw invalid(
      index,
      'referenceTop',
      `has ${found} tokens, expected ${referenceTop} for each with mask 1: ${expected}`,
    );
}

function invalid(episode: number, field: string, problem: string): ForgeError {
  return new ForgeError('CONTRACT_INVALID_MESSAGE', `episode ${episode}: ${field} ${problem}`, {
    episode,
    field,
  });
}
