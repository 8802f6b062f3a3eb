import fc from 'fast-check';
import { generalizedAdvantage, whitenChosen } from './generalized-advantage';

/** The golden case of SkyRL's test of its advantages. */
const golden = { rewards: [1, 2, 3], values: [0.5, 1, 1.5], mask: [1, 1, 1] };

describe('generalizedAdvantage', () => {
  it.each([
    [1, 1, [6, 5, 3]],
    [0.5, 1, [2.75, 3.5, 3]],
    [1, 0.5, [3.625, 4.25, 3]],
  ])("gives SkyRL's returns with gamma %s and lambda %s", (gamma, lambda, returns) => {
    const found = generalizedAdvantage(golden, { gamma, lambda });
    expect([...found.returns]).toEqual(returns);
    expect([...found.advantages]).toEqual(returns.map((one, t) => one - golden.values[t]!));
  });

  it('trusts the next value alone with lambda 0', () => {
    const { advantages } = generalizedAdvantage(golden, { gamma: 0.9, lambda: 0 });
    [1 + 0.9 * 1 - 0.5, 2 + 0.9 * 1.5 - 1, 3 - 1.5].forEach((expected, t) => {
      expect(advantages[t]).toBeCloseTo(expected, 12);
    });
  });

  it('gives an episode the same whatever lies between its chosen tokens', () => {
    const token = fc.tuple(
      fc.double({ min: -2, max: 2, noNaN: true }),
      fc.double({ min: -2, max: 2, noNaN: true }),
    );
    const gap = fc.array(token, { maxLength: 3 });
    fc.assert(
      fc.property(fc.array(fc.tuple(gap, token), { minLength: 1, maxLength: 6 }), gap, (chosen, end) => {
        const options = { gamma: 0.9, lambda: 0.8 };
        const plain = chosen.map(([, one]) => one);
        const tokens = [
          ...chosen.flatMap(([before, one]) => [
            ...before.map((other) => [other, 0] as const),
            [one, 1] as const,
          ]),
          ...end.map((other) => [other, 0] as const),
        ];
        const dense = generalizedAdvantage(
          { rewards: plain.map(([r]) => r), values: plain.map(([, v]) => v), mask: plain.map(() => 1) },
          options,
        );
        const mask = tokens.map(([, isChosen]) => isChosen);
        const sparse = generalizedAdvantage(
          { rewards: tokens.map(([[r]]) => r), values: tokens.map(([[, v]]) => v), mask },
          options,
        );
        for (const name of ['advantages', 'returns'] as const) {
          expect([...sparse[name]].filter((_, t) => mask[t] === 1)).toEqual([...dense[name]]);
          expect([...sparse[name]].filter((_, t) => mask[t] === 0).every((x) => x === 0)).toBe(true);
        }
      }),
    );
  });

  it('is the sum over n of n-step advantages, each weighed by lambda', () => {
    const number = fc.double({ min: -2, max: 2, noNaN: true });
    const share = fc.double({ min: 0, max: 1, noNaN: true });
    fc.assert(
      fc.property(
        fc.array(fc.tuple(number, number), { minLength: 1, maxLength: 6 }),
        share,
        share,
        (tokens, gamma, lambda) => {
          const [rewards, values] = [tokens.map(([r]) => r), tokens.map(([, v]) => v)];
          const { advantages } = generalizedAdvantage(
            { rewards, values, mask: tokens.map(() => 1) },
            { gamma, lambda },
          );
          tokens.forEach((_, t) => {
            let expected = 0;
            for (let k = t; k < tokens.length; k++) {
              const error = rewards[k]! + gamma * (values[k + 1] ?? 0) - values[k]!;
              expected += (gamma * lambda) ** (k - t) * error;
            }
            expect(advantages[t]).toBeCloseTo(expected, 9);
          });
        },
      ),
    );
  });
});

describe('whitenChosen', () => {
  it("gives SkyRL's values for its golden advantages", () => {
    const [row] = whitenChosen([{ values: [5.5, 4, 1.5], mask: [1, 0, 1] }], 'unbiased');
    expect(row![0]).toBeCloseTo(Math.SQRT1_2, 6);
    expect(row![1]).toBe(0);
    expect(row![2]).toBeCloseTo(-Math.SQRT1_2, 6);
  });

  it('counts the chosen numbers of all rows, each once', () => {
    const rows = [
      { values: [1, 9], mask: [1, 0] },
      { values: [2, 6], mask: [1, 1] },
    ];
    const [first, second] = whitenChosen(rows, 'population');
    const deviation = Math.sqrt((4 + 1 + 9) / 3);
    [first![0]!, second![0]!, second![1]!].forEach((found, i) => {
      expect(found).toBeCloseTo([-2, -1, 3][i]! / deviation, 6);
    });
  });

  it('gives zeros for equal numbers, and for one', () => {
    expect(whitenChosen([{ values: [3, 3], mask: [1, 1] }], 'unbiased')[0]).toEqual(Float64Array.of(0, 0));
    expect(whitenChosen([{ values: [3, 7], mask: [0, 1] }], 'unbiased')[0]).toEqual(Float64Array.of(0, 0));
  });
});
