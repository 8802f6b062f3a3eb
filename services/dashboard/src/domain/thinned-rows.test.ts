import type { MetricsRow } from '../api';
import { thinnedRows } from './thinned-rows';

const rows = (count: number, more: (step: number) => Record<string, number> = () => ({})): MetricsRow[] =>
  Array.from({ length: count }, (_, k) => ({ step: k + 1, loss: 1 / (k + 1), ...more(k + 1) }));
const stepsOf = (kept: readonly MetricsRow[]): number[] => kept.map(({ step }) => step);

it('leaves few rows as they are', () => {
  const few = rows(5);
  expect(thinnedRows(few, 5)).toBe(few);
  expect(thinnedRows([], 5)).toEqual([]);
});

it('takes rows equally far apart, the first and the newest', () =>
  expect(stepsOf(thinnedRows(rows(100), 12))).toEqual([1, 11, 21, 31, 41, 51, 61, 71, 81, 91, 100]));

it('keeps to 2,000 rows of a long run', () => {
  const long = rows(50_000);
  const kept = thinnedRows(long);
  expect(kept.length).toBeGreaterThan(1_000);
  expect(kept.length).toBeLessThanOrEqual(2_000);
  expect([kept[0], kept.at(-1)]).toEqual([long[0], long.at(-1)]);
  expect(kept.every((row) => row === long[row.step - 1])).toBe(true);
});

it('takes steps of a seldom lag as seldom as they are', () => {
  const kept = thinnedRows(
    rows(10_000, (step) => ({ [`lag/share/${step % 7 === 0 ? 1 : 0}`]: 1 })),
    500,
  );
  const late = kept.filter((row) => row['lag/share/1'] === 1);
  expect(late.length / kept.length).toBeCloseTo(1 / 7, 2);
});

it('does not lose what is measured seldom', () => {
  const seldom = rows(1_000, (step) => ({
    ...(step % 50 === 0 && { 'eval/accuracy': step / 1_000 }),
    ...((step === 333 || step === 777) && { 'rollback/to': step - 9 }),
  }));
  const kept = thinnedRows(seldom, 60);
  expect(kept.length).toBeLessThanOrEqual(60);
  expect(kept.filter((row) => row['eval/accuracy'] !== undefined)).toHaveLength(20);
  expect(stepsOf(kept.filter((row) => row['rollback/to'] !== undefined))).toEqual([333, 777]);
});

it('keeps a row for each metric where there are more of them than rows allowed', () =>
  expect(
    stepsOf(
      thinnedRows(
        rows(9, (step) => ({ [`user/${step}`]: step })),
        3,
      ),
    ),
  ).toHaveLength(9));

it('may be thinned again', () => {
  const long = rows(10_000);
  const inParts = thinnedRows([...thinnedRows(long.slice(0, 8_000), 200), ...long.slice(8_000)], 200);
  expect(inParts.length).toBeLessThanOrEqual(200);
  const gaps = inParts.slice(1).map(({ step }, k) => step - inParts[k]!.step);
  expect(Math.max(...gaps)).toBeLessThan(2 * (10_000 / 200) + 1);
});
