import { z } from 'zod';
import { defineTools, type ToolSet } from './tools';

const OPERATORS: Readonly<Record<string, (a: number, b: number) => number>> = {
  '+': (a, b) => a + b,
  '-': (a, b) => a - b,
  '*': (a, b) => a * b,
  '/': (a, b) => a / b,
};

/** The tool `calculator`: the value of an expression of numbers, + - * / and parentheses. */
export function calculator(): ToolSet {
  return defineTools({
    calculator: {
      description: 'Computes an expression of numbers, + - * / and parentheses.',
      parameters: z.object({ expression: z.string().max(1000).describe('for example 12*(3+4)') }),
      run: ({ expression }) => String(valueOf(expression)),
    },
  });
}

/**
 * The value of an expression, products before sums and from left to right.
 *
 * @throws {Error} naming the place and what was found there, or that the value is not finite.
 */
export function valueOf(expression: string): number {
  const tokens = [...expression.matchAll(/\s*(\d+\.?\d*|\.\d+|\S)\s*/g)].map(([, token]) => token!);
  let at = 0;
  const expected = (what: string): Error =>
    new Error(`expected ${what}, found ${tokens[at] ?? 'the end'} as part ${at + 1} of ${expression}`);
  const takes = (...some: string[]): string | null =>
    some.includes(tokens[at] ?? '') ? tokens[at++]! : null;
  const chain = (operators: string[], part: () => number): number => {
    let value = part();
    for (let sign = takes(...operators); sign !== null; sign = takes(...operators))
      value = OPERATORS[sign]!(value, part());
    return value;
  };
  const sum = (): number => chain(['+', '-'], product);
  const product = (): number => chain(['*', '/'], signed);
  const signed = (): number => (takes('-') === null ? atom() : -signed());
  const atom = (): number => {
    if (takes('(') === null) {
      if (!/^[\d.]/.test(tokens[at] ?? '')) throw expected('a number');
      return Number(tokens[at++]);
    }
    const value = sum();
    if (takes(')') === null) throw expected(')');
    return value;
  };
  const value = sum();
  if (at < tokens.length) throw expected('an operator');
  if (!Number.isFinite(value)) throw new Error(`${expression} has no value`);
  return value;
}
