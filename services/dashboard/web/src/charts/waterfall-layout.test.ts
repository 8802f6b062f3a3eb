import type { Span } from '../../../src/api';
import { ticksOf, waterfall } from './waterfall-layout';

const span = (
  spanId: string,
  parentId: string | null,
  startMs: number,
  endMs: number,
  more: Partial<Span> = {},
): Span => ({
  ...{ spanId, parentId, startMs, endMs, name: spanId, service: 's', replica: '0' },
  ...{ attributes: {}, events: [], links: [], error: null, ...more },
});

it('puts children below their parents by start', () => {
  const { rows, startMs, durationMs } = waterfall([
    span('c', 'a', 160, 200),
    span('b', 'a', 110, 150),
    span('d', 'b', 120, 130),
    span('a', null, 100, 200),
  ]);
  expect([startMs, durationMs]).toEqual([100, 100]);
  expect(rows.map((row) => [row.span.spanId, row.depth, row.start, row.length])).toEqual([
    ['a', 0, 0, 1],
    ['b', 1, 0.1, 0.4],
    ['d', 2, 0.2, 0.1],
    ['c', 1, 0.6, 0.4],
  ]);
});

it('shows spans whose parent is not there as roots', () =>
  expect(waterfall([span('x', 'gone', 5, 6)]).rows.map(({ depth }) => depth)).toEqual([0]));

it('gets over a span that is told twice', () =>
  expect(waterfall([span('a', null, 0, 1), span('a', null, 0, 1), span('b', 'a', 0, 1)]).rows).toHaveLength(
    2,
  ));

it('places events', () =>
  expect(
    waterfall([span('a', null, 0, 10, { events: [{ name: 'chunk', atMs: 5, attributes: {} }] })]).rows[0]!
      .events,
  ).toEqual([{ name: 'chunk', at: 0.5 }]));

it('has nothing to show of nothing', () => expect(waterfall([]).rows).toEqual([]));

it.each([
  [100, [0, 20, 40, 60, 80, 100]],
  [9838, [0, 2000, 4000, 6000, 8000]],
  [4, [0, 1, 2, 3, 4]],
])('marks %p ms at %p', (duration, ticks) => expect(ticksOf(duration)).toEqual(ticks));
