export type Operator = '+' | '-' | '*';

/** Two operands as a problem has them up to their order: `large` >= `small`. */
export interface OperandPair {
  large: number;
  small: number;
}

/** Pairs whose larger operand has `largeDigits` digits and whose smaller one has `smallDigits`, numbered from 0. */
export interface PairSet {
  readonly size: number;
  pair(rank: number): OperandPair;
}

export function operandPairs(largeDigits: number, smallDigits: number): PairSet {
  const large = numbersOfLength(largeDigits);
  const small = numbersOfLength(smallDigits);
  if (largeDigits !== smallDigits) {
    return {
      size: large.count * small.count,
      pair: (rank) => ({
        large: large.first + Math.floor(rank / small.count),
        small: small.first + (rank % small.count),
      }),
    };
  }
  return {
    size: triangle(large.count),
    pair(rank) {
      let row = Math.floor((Math.sqrt(8 * rank + 1) - 1) / 2);
      // The square root may round across a whole number.
      while (triangle(row) > rank) row -= 1;
      while (triangle(row + 1) <= rank) row += 1;
      return { large: large.first + row, small: small.first + (rank - triangle(row)) };
    },
  };
}

/** Pairs (row, column <= row) in the rows before `rows`. */
function triangle(rows: number): number {
  return (rows * (rows + 1)) / 2;
}

/** 0 … 9, 10 … 99, 100 … 999, and so on. */
function numbersOfLength(digits: number): { first: number; count: number } {
  return digits === 1
    ? { first: 0, count: 10 }
    : { first: 10 ** (digits - 1), count: 9 * 10 ** (digits - 1) };
}
