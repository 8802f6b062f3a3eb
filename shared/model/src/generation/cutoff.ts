import {
  cast,
  cumsum,
  gatherElements,
  greaterOrEqual,
  inside,
  less,
  lessOrEqual,
  logicalAnd,
  loop,
  maximum,
  minimum,
  mul,
  not,
  reduceMax,
  slice,
  sub,
  sum,
  topK,
  where,
  equal,
  type Tensor,
} from '@forge/graph';

/** Likeliest tokens that are sorted first; in most rows they hold the share that top-p wants. */
const LIKELIEST = 1024;

/** Probability below every one that a token can be drawn with. */
const ALL = 0;

/**
 * The smallest probability that may be drawn, [B, 1]: that of the `limit`-th likeliest token, and among the tokens that
 * leaves, renormalised, that of the last one it takes to hold `share` of the probability. Tokens as likely as the last
 * one stay. Only where the likeliest 1,024 tokens don't suffice is the whole vocabulary sorted: a loop of no or one trip.
 *
 * Shapes: probabilities [B, V]; limit (0 is off), share (1 is off) [B, 1].
 */
export function cutoff(probabilities: Tensor, limit: Tensor, share: Tensor): Tensor {
  const width = probabilities.shape[1] as number;
  const first = cutoffAmong(probabilities, limit, share, Math.min(width, LIKELIEST));
  if (width <= LIKELIEST) return first.cut;
  const isShort = cast(not(first.isEnough), 'float32');
  const [cut] = loop({
    trips: cast(reduceMax(isShort), 'int64'),
    state: [first.cut],
    body: (round, [found]) => {
      const full = cutoffAmong(inside(round, probabilities), limit, share, width);
      return { state: [where(first.isEnough, found!, full.cut)] };
    },
  }).state;
  return cut!;
}

/** The cut-off if it lies among the `count` likeliest tokens, and whether it does, bool [B, 1]. */
function cutoffAmong(
  probabilities: Tensor,
  limit: Tensor,
  share: Tensor,
  count: number,
): { cut: Tensor; isEnough: Tensor } {
  const { values } = topK(probabilities, count);
  const last = cast(sub(where(equal(limit, 0), count, minimum(limit, count)), 1), 'int64');
  const byCount = where(equal(limit, 0), ALL, gatherElements(values, last, 1));
  const running = cumsum(keptFrom(values, byCount), 1);
  const wanted = mul(share, sum(keptFrom(probabilities, byCount), [1], { keepDims: true }));
  const byShare = gatherElements(values, firstBeyond(running, wanted, less), 1);
  const isShared = less(share, 1);
  const reached = greaterOrEqual(where(isShared, slice(running, 1, count - 1, count), wanted), wanted);
  return {
    cut: maximum(byCount, where(isShared, byShare, ALL)),
    isEnough: logicalAnd(lessOrEqual(limit, count), reached),
  };
}

/** `x` where it is not below `least` [B, 1], else zero. */
export function keptFrom(x: Tensor, least: Tensor): Tensor {
  return where(greaterOrEqual(x, least), x, 0);
}

/** The number of entries of `running` [B, V] before the threshold [B, 1], at most V - 1; int64 [B, 1]. */
export function firstBeyond(running: Tensor, threshold: Tensor, isBefore: typeof less): Tensor {
  const before = sum(cast(isBefore(running, threshold), 'float32'), [1], { keepDims: true });
  return cast(minimum(before, (running.shape[1] as number) - 1), 'int64');
}
