import type { Sample } from '@forge/contracts';
import { operandPairs, type OperandPair, type Operator, type PairSet } from './operand-pairs';
import { epochOrder, permutation } from './permutation';
import { hashText, mix } from './seeded-hash';
import type { SupervisedPair, Task } from './task';
import { weightedSlots } from './weighted-slots';

export interface ArithmeticTaskOptions {
  operators: readonly Operator[];
  /** Digits of the longer operand, 1 … 6. */
  maxDigits: number;
  /** Held-out problems to evaluate on; fewer when fewer are reserved. */
  heldOut: number;
  seed: number;
}

/** One problem in this many is reserved: no training ever sees it, whatever the seed and the recipe. */
const RESERVED_ONE_IN = 10;

/** The problems of one operator and one pair of operand lengths. */
interface Stratum {
  operator: Operator;
  pairs: PairSet;
  /** A fixed order of the pairs; the first `reserved` of it are never trained on. */
  order: (position: number) => number;
  reserved: number;
  /** Share of this stratum among the samples: longer problems are more, and take more practice. */
  weight: number;
}

/**
 * Problems as a person types them, `12+7=`, with the result as the answer, `19`.
 *
 * The completion to imitate works from the least significant digit, where carries start, before it answers:
 * `<91>19`. Subtractions have no negative result; products have one operand of a single digit; operands that may be
 * swapped come in either order.
 *
 * Problems are mixed over strata of (operator, length of the longer, length of the shorter operand), each with a share
 * proportional to the product of the lengths: drawn uniformly, nearly all would have the most digits. Within a stratum
 * every epoch holds each pair of operands once, in one of its orders.
 *
 * A fixed permutation of each stratum, the same for every seed and recipe, reserves a tenth of its pairs of operands;
 * held-out problems are reserved ones, and `7+12` is reserved with `12+7`.
 */
export function arithmeticTask({ operators, maxDigits, heldOut, seed }: ArithmeticTaskOptions): Task {
  const strata = [...new Set(operators)].flatMap((operator) => strataOf(operator, maxDigits));
  const slots = weightedSlots(strata.map(({ weight }) => weight));
  const orders = strata.map(({ pairs, reserved }, i) => epochOrder(pairs.size - reserved, mix(seed, i)));

  const problemAt = (index: number): Problem => {
    const { item, turn } = slots(index);
    const { operator, pairs, order, reserved } = strata[item]!;
    const pair = pairs.pair(order(reserved + orders[item]!(turn)));
    return problem(operator, pair, mix(mix(seed, index), 2));
  };

  return {
    size: strata.reduce((sum, { pairs, reserved }) => sum + pairs.size - reserved, 0),
    sample: (index) => toSample(problemAt(index)),
    difficulty: (index) => difficultyOf(problemAt(index)),
    supervised: (index) => toSupervisedPair(problemAt(index)),
    heldOut: reservedProblems(strata, slots, heldOut).map(toSample),
  };
}

function strataOf(operator: Operator, maxDigits: number): Stratum[] {
  const lengths = Array.from({ length: maxDigits }, (_, i) => i + 1);
  return lengths.flatMap((large) =>
    lengths
      .filter((small) => small <= large && (operator !== '*' || small === 1))
      .map((small) => {
        const pairs = operandPairs(large, small);
        const order = permutation(pairs.size, hashText(`${operator} ${large} ${small}`));
        const reserved = Math.ceil(pairs.size / RESERVED_ONE_IN);
        return { operator, pairs, order, reserved, weight: large * small };
      }),
  );
}

function reservedProblems(
  strata: readonly Stratum[],
  slots: ReturnType<typeof weightedSlots>,
  count: number,
): Problem[] {
  const available = strata.reduce((sum, { reserved }) => sum + reserved, 0);
  const problems: Problem[] = [];
  for (let i = 0; problems.length < Math.min(count, available); i += 1) {
    const { item, turn } = slots(i);
    const { operator, pairs, order, reserved } = strata[item]!;
    if (turn >= reserved) continue;
    problems.push(problem(operator, pairs.pair(order(turn)), mix(item, turn)));
  }
  return problems;
}

interface Problem extends OperandPair {
  operator: Operator;
  text: string;
  result: number;
}

/** The operands in the order that the lowest bit of `coin` says, where the order is free. */
function problem(operator: Operator, { large, small }: OperandPair, coin: number): Problem {
  const [a, b] = operator !== '-' && coin & 1 ? [small, large] : [large, small];
  const results = { '+': large + small, '-': large - small, '*': large * small };
  return { operator, large, small, text: `${a}${operator}${b}`, result: results[operator] };
}

/** Operator and lengths, and for sums and differences the digits from the right at which there is a carry: `+2,2:01`. */
function difficultyOf({ operator, large, small }: Problem): string {
  const length = String(large).length;
  const lengths = `${operator}${length},${String(small).length}`;
  if (operator === '*') return lengths;
  const carries = Array.from({ length }, (_, i) => {
    const [a, b] = [large % 10 ** (i + 1), small % 10 ** (i + 1)];
    return (operator === '+' ? a + b >= 10 ** (i + 1) : a < b) ? '1' : '0';
  });
  return `${lengths}:${carries.join('')}`;
}

function toSample({ text, result }: Problem): Sample {
  return { id: text, prompt: `${text}=`, answer: String(result) };
}

function toSupervisedPair({ text, result }: Problem): SupervisedPair {
  const working = [...String(result)].reverse().join('');
  return { prompt: `${text}=`, completion: `<${working}>${result}` };
}
