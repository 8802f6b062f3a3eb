import fc from 'fast-check';
import { toolRollout } from './interactive-rollout';
import { calculator, valueOf } from './calculator';
import { rollOut } from './rollout.fixture';
import { call } from './scripted-policy.fixture';

describe('valueOf', () => {
  it.each([
    ['12*34', 408],
    [' 2 + 3 * 4 - 1 ', 13],
    ['(2+3)*(4-1)', 15],
    ['8/4/2', 1],
    ['10-3-2', 5],
    ['-(2+3)*-2', 10],
    ['.5+1.25', 1.75],
  ])('computes %s', (expression, value) => {
    expect(valueOf(expression)).toBe(value);
  });

  it.each([
    ['', 'expected a number, found the end as part 1'],
    ['2+', 'expected a number, found the end as part 3'],
    ['2 3', 'expected an operator, found 3 as part 2'],
    ['(2', 'expected ), found the end as part 3'],
    ['2+process.exit()', 'expected a number, found p as part 3'],
    ['1/0', '1/0 has no value'],
  ])('refuses %p', (expression, message) => {
    expect(() => valueOf(expression)).toThrow(message);
  });

  interface Computed {
    text: string;
    value: number;
  }
  const joined = (a: Computed, sign: string, b: Computed): Computed => ({
    text: `(${a.text}${sign}${b.text})`,
    value: { '+': a.value + b.value, '-': a.value - b.value, '*': a.value * b.value }[sign]!,
  });

  it('computes any nesting of whole numbers', () => {
    const { term } = fc.letrec<{ term: Computed }>((tie) => ({
      term: fc.oneof(
        { maxDepth: 5 },
        fc.nat(99).map((value) => ({ text: String(value), value })),
        fc.tuple(tie('term'), fc.constantFrom('+', '-', '*'), tie('term')).map((parts) => joined(...parts)),
      ),
    }));
    fc.assert(
      fc.property(term, ({ text, value }) => {
        expect(valueOf(text) - value).toBe(0);
      }),
    );
  });
});

describe('calculator', () => {
  it('answers a call with the value, and a wrong one with what is wrong', async () => {
    const { said } = await rollOut(toolRollout({ tools: calculator() }), (messages) =>
      messages.length < 4
        ? [['12*34', '12**3'].map((expression) => call('calculator', { expression }))].flat()
        : '408',
    );
    expect(said.slice(2, 4)).toEqual(['408', 'Error: expected a number, found * as part 3 of 12**3']);
  });
});
