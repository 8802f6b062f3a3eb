import {
  add,
  argmax,
  concat,
  cumsum,
  equal,
  exp,
  fill,
  gather,
  gatherElements,
  inside,
  less,
  lessOrEqual,
  logSoftmax,
  loop,
  minimum,
  mul,
  reduceMax,
  reshape,
  shapeTensor,
  slice,
  sub,
  sum,
  where,
  type Tensor,
} from '@forge/graph';
import { positionsAlong } from '../transformer/attention';
import { cutoff, firstBeyond, keptFrom } from './cutoff';
import { blocksOf, type Blocks } from './vocabulary-blocks';

/** The sampling of one token of each row; [B, 1] but for `filters`. */
export interface RowSampling {
  /** 1.0 for greedy rows, else 0.0. */
  greedy: Tensor;
  /** int64 []: 1 when some row has top-k or top-p, else 0 and both count as off. */
  filters: Tensor;
  /** 0 is off. */
  topK: Tensor;
  /** 1 is off. */
  topP: Tensor;
  /** int64: the token that comes whatever is drawn; below 0 it is drawn. Left out: all are. */
  given?: Tensor;
}

/** Logits of entries that the vocabulary does not have: their probability is exactly zero. */
const NO_LOGIT = -1e30;
/** Largest number below 1 that keeps its product with a total below the total. */
const BELOW_ONE = 1 - 2 ** -23;

/**
 * Draws one token per row: the inverse of the cumulative distribution, in the order of the vocabulary, at a uniform
 * number. A row without filters gives the same token whatever the others have, bit for bit.
 *
 * A large vocabulary is summed in blocks: the running sum goes over the sums of blocks, and then over the one block in
 * which the number falls. The filters are a loop of no or one trip, so that rows without them don't pay.
 *
 * Shapes: logits [B, V] divided by the temperature, uniform [B, 1] -> tokens int64 [B, 1], logprobs [B, 1] before top-k
 * and top-p.
 */
export function sampleTokens(
  logits: Tensor,
  uniform: Tensor,
  rows: RowSampling,
): { tokens: Tensor; logprobs: Tensor } {
  const blocks = blocksOf(logits.shape[1] as number);
  const wide = widened(logits, blocks);
  const logprobs = logSoftmax(wide);
  const kept = keptOf(exp(logprobs), blocks, rows);
  const drawn = where(equal(rows.greedy, 1), likeliest(wide, blocks), draw(kept, uniform, blocks));
  const tokens = rows.given === undefined ? drawn : where(less(rows.given, 0), drawn, rows.given);
  return { tokens, logprobs: gatherElements(logprobs, tokens, 1) };
}

/** Logits up to a whole number of blocks. */
function widened(logits: Tensor, { count, width }: Blocks): Tensor {
  const missing = count * width - (logits.shape[1] as number);
  if (missing === 0) return logits;
  const shape = [logits.shape[0]!, missing];
  return concat([logits, fill(shapeTensor(logits.graph, shape), shape, NO_LOGIT, 'float32')], 1);
}

/** Probabilities of which those below a cut-off of their row count as zero. */
interface Kept {
  /** [B, count * width] */
  probabilities: Tensor;
  /** [B, 1] */
  cut: Tensor;
  /** Sums of the probabilities of each block that are kept, [B, count]. */
  sums: Tensor;
}

function keptOf(probabilities: Tensor, blocks: Blocks, { filters, topK, topP }: RowSampling): Kept {
  const all = mul(topK, 0);
  const [cut, sums] = loop({
    trips: filters,
    state: [all, sumBlocks(probabilities, blocks)],
    body: (round) => {
      const own = inside(round, probabilities);
      const found = cutoff(own, topK, topP);
      return { state: [found, sumBlocks(keptFrom(own, found), blocks)] };
    },
  }).state as [Tensor, Tensor];
  return { probabilities, cut, sums };
}

/** [B, V] -> [B, count] */
function sumBlocks(x: Tensor, { count, width }: Blocks): Tensor {
  return sum(reshape(x, [x.shape[0]!, count, width]), [2]);
}

/** The first place where the running sum of what is kept exceeds uniform times the total, int64 [B, 1]. */
function draw({ probabilities, cut, sums }: Kept, uniform: Tensor, blocks: Blocks): Tensor {
  const { count } = blocks;
  if (count === 1) {
    const running = cumsum(keptFrom(probabilities, cut), 1);
    return firstBeyond(running, mul(uniform, lastColumn(running)), lessOrEqual);
  }
  const running = cumsum(sums, 1);
  const threshold = mul(uniform, lastColumn(running));
  const block = firstBeyond(running, threshold, lessOrEqual);
  const before = gatherElements(sub(running, sums), block, 1);
  const inside = cumsum(keptFrom(blockOf(probabilities, block, blocks), cut), 1);
  // Rounding may put the rest at the block's own total, and the draw behind its last token with a probability.
  const rest = minimum(sub(threshold, before), mul(lastColumn(inside), BELOW_ONE));
  return inVocabulary(block, firstBeyond(inside, rest, lessOrEqual), blocks);
}

/** The first of the largest logits, int64 [B, 1]. */
function likeliest(logits: Tensor, blocks: Blocks): Tensor {
  const { count, width } = blocks;
  if (count === 1) return argmax(logits, 1);
  const block = argmax(reduceMax(reshape(logits, [logits.shape[0]!, count, width]), [2]), 1);
  return inVocabulary(block, argmax(blockOf(logits, block, blocks), 1), blocks);
}

/** The entries of one block of each row: x [B, V], block int64 [B, 1] -> [B, width]. */
function blockOf(x: Tensor, block: Tensor, { count, width }: Blocks): Tensor {
  const rows = x.shape[0]!;
  const firsts = mul(reshape(positionsAlong(x, rows), [rows, 1]), count);
  return gather(reshape(x, [-1, width]), reshape(add(firsts, block), [rows]));
}

function lastColumn(x: Tensor): Tensor {
  const width = x.shape[1] as number;
  return slice(x, 1, width - 1, width);
}

function inVocabulary(block: Tensor, inside: Tensor, { width }: Blocks): Tensor {
  return add(mul(block, width), inside);
}

/** One position further, at most the last: a full row idles there until its chunk ends. */
export function following(positions: Tensor, maxPositions: number): Tensor {
  return minimum(add(positions, 1), maxPositions - 1);
}
