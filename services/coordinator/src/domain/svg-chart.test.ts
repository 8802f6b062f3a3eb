import { axis, escapeHtml, label, lineChart } from './svg-chart';

describe('axis', () => {
  it('covers the values with round ticks', () => {
    expect(axis([0.37, 0.91]).ticks).toEqual([0.2, 0.4, 0.6, 0.8, 1]);
    expect(axis([3, 97]).ticks).toEqual([0, 50, 100]);
  });

  it('gives a constant a range of its own', () => {
    const { ticks, share } = axis([5, 5]);
    expect(ticks.length).toBeGreaterThan(1);
    expect(share(5)).toBe(0.5);
    expect(axis([0]).ticks.every(Number.isFinite)).toBe(true);
  });
});

describe('lineChart', () => {
  it('draws each series from its first to its last finite point', () => {
    const svg = lineChart([{ name: 'a<b', points: [{ x: 0, y: 0 }, { x: 1, y: NaN }, { x: 2, y: 1 }] }], 'step'); // prettier-ignore
    expect(svg).toContain('points="56,184 448,12"');
    expect(svg).toContain('<title>a&lt;b: 1 at step 2</title>');
  });

  it('says when there is nothing to draw', () => {
    expect(lineChart([{ name: 'a', points: [] }], 'step')).toContain('no data');
  });
});

describe('label and escapeHtml', () => {
  it('writes numbers and text for people', () => {
    expect([0, 0.123456, 12345678, 0.00001].map(label)).toEqual(['0', '0.1235', '1.2e+7', '1.0e-5']);
    expect(escapeHtml('<a href="x">&')).toBe('&lt;a href=&quot;x&quot;&gt;&amp;');
  });
});
