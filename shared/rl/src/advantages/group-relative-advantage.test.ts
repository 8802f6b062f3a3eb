import fc from 'fast-check';
import { groupRelativeAdvantage } from './group-relative-advantage';

const normalized = groupRelativeAdvantage({ normalizeByStd: true });
const centered = groupRelativeAdvantage({ normalizeByStd: false });
const rewards = fc.array(fc.double({ min: -100, max: 100, noNaN: true }), { minLength: 2, maxLength: 16 });

function expectClose(actual: number[], expected: number[], tolerance: number): void {
  expect(actual).toHaveLength(expected.length);
  actual.forEach((a, i) => {
    expect(Math.abs(a - expected[i]!)).toBeLessThanOrEqual(tolerance);
  });
}

describe('groupRelativeAdvantage', () => {
  it('gives the values of torchforge with standard deviation', () => {
    // [1,0,0,0]: 0.75 / (0.5 + 1e-4) = 1.4997000…; [1,1,0,0]: 0.5 / (sqrt(1/3) + 1e-4) = 0.8658754…
    expectClose(normalized([1, 0, 0, 0]), [1.49970006, -0.49990002, -0.49990002, -0.49990002], 1e-8);
    expectClose(normalized([1, 1, 0, 0]), [0.865875, 0.865875, -0.865875, -0.865875], 1e-6);
    expect(normalized([0.5, 0.5])).toEqual([0, 0]);
  });

  it('gives differences from the mean without', () => {
    expect(centered([1, 0, 0, 0])).toEqual([0.75, -0.25, -0.25, -0.25]);
  });

  it('returns zeros for a group of one, and exactly zeros for equal rewards', () => {
    expect(normalized([3])).toEqual([0]);
    expect(normalized([0.1, 0.1, 0.1])).toEqual([0, 0, 0]);
    expect(centered([0.1, 0.1, 0.1])).toEqual([0, 0, 0]);
    expect(normalized([])).toEqual([]);
  });

  it('sums to zero', () => {
    fc.assert(
      fc.property(rewards, (group) => {
        for (const advantage of [normalized, centered]) {
          const values = advantage(group);
          const scale = Math.max(1, ...values.map(Math.abs), ...group.map(Math.abs));
          expect(Math.abs(values.reduce((a, b) => a + b, 0))).toBeLessThan(1e-9 * scale * 1e4);
        }
      }),
    );
  });

  it('does not change when a constant is added to all rewards', () => {
    fc.assert(
      fc.property(rewards, fc.integer({ min: -50, max: 50 }), (group, shift) => {
        expectClose(centered(group.map((r) => r + shift)), centered(group), 1e-10);
      }),
    );
  });

  it('follows a permutation of the group', () => {
    fc.assert(
      fc.property(rewards, (group) => {
        expectClose(normalized([...group].reverse()).reverse(), normalized(group), 1e-7);
      }),
    );
  });
});
