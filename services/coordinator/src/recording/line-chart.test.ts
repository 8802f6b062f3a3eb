import { label, lineChart, SERIES_COLORS } from './line-chart';

/** The points of the drawn line of a color, in pixels. */
function pointsOf(svg: string, color: string): [number, number][] {
  const path = new RegExp(`d="([^"]+)"[^>]*stroke="${color}"`).exec(svg)?.[1] ?? '';
  return [...path.matchAll(/(-?[\d.]+) (-?[\d.]+)/g)].map(([, x, y]) => [Number(x), Number(y)]);
}

describe('lineChart', () => {
  it('draws each series in its color, leaving out what is not finite', () => {
    const rising = {
      name: 'a',
      points: [
        { x: 0, y: 0 },
        { x: 1, y: NaN },
        { x: 2, y: 1 },
      ],
    };
    const flat = {
      name: 'b',
      points: [
        { x: 0, y: 0.5 },
        { x: 2, y: 0.5 },
      ],
    };
    const svg = lineChart([rising, flat]);
    const [start, end] = pointsOf(svg, SERIES_COLORS[0]!) as [[number, number], [number, number]];
    expect(pointsOf(svg, SERIES_COLORS[0]!)).toHaveLength(2);
    expect(end[0]).toBeGreaterThan(start[0]);
    // Up is where y is small.
    expect(end[1]).toBeLessThan(start[1]);
    const level = pointsOf(svg, SERIES_COLORS[1]!).map(([, y]) => y);
    expect(level[0]).toBeCloseTo((start[1] + end[1]) / 2, 3);
    expect(level[0]).toBe(level[1]);
  });

  it('draws the axes of an empty series', () => {
    expect(lineChart([{ name: 'a', points: [] }])).toMatch(/^<svg /);
  });
});

describe('label', () => {
  it.each([
    [0, '0'],
    [0.123456, '0.1235'],
    [12345678, '1.2e+7'],
    [-0.00001, '-1.0e-5'],
  ])('writes %p for people as %p', (value, text) => {
    expect(label(value)).toBe(text);
  });
});
