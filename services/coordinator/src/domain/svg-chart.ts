export interface Point {
  x: number;
  y: number;
}

export interface Series {
  name: string;
  points: readonly Point[];
}

const WIDTH = 460;
const HEIGHT = 210;
const MARGIN = { left: 56, right: 12, top: 12, bottom: 26 };
/** A line of more points than this is thinned: the page stays small and the picture the same. */
const MAX_POINTS = 600;

/**
 * A line chart as SVG markup: axes with round ticks, one line per series, a tooltip on the last point.
 * Points that are not finite are left out; with no points at all the chart says so.
 */
export function lineChart(series: readonly Series[], xLabel: string): string {
  const finite = series.map(({ name, points }) => ({
    name,
    points: points.filter(({ x, y }) => Number.isFinite(x) && Number.isFinite(y)),
  }));
  const all = finite.flatMap(({ points }) => points);
  if (all.length === 0) return `<svg viewBox="0 0 ${WIDTH} 40"><text x="8" y="24">no data</text></svg>`;

  const x = axis(all.map((point) => point.x));
  const y = axis(all.map((point) => point.y));
  const px = (value: number) => round(MARGIN.left + x.share(value) * (WIDTH - MARGIN.left - MARGIN.right));
  const py = (value: number) =>
    round(HEIGHT - MARGIN.bottom - y.share(value) * (HEIGHT - MARGIN.top - MARGIN.bottom));

  const grid = y.ticks.map(
    (tick) =>
      `<line class="grid" x1="${MARGIN.left}" x2="${WIDTH - MARGIN.right}" y1="${py(tick)}" y2="${py(tick)}"/>` +
      `<text class="tick" x="${MARGIN.left - 6}" y="${py(tick) + 4}" text-anchor="end">${label(tick)}</text>`,
  );
  const bottom = x.ticks.map(
    (tick) =>
      `<text class="tick" x="${px(tick)}" y="${HEIGHT - 10}" text-anchor="middle">${label(tick)}</text>`,
  );
  const lines = finite.map(({ name, points }, k) => {
    const last = points.at(-1);
    if (!last) return '';
    const path = thin(points)
      .map((point) => `${px(point.x)},${py(point.y)}`)
      .join(' ');
    const tip = `${name}: ${label(last.y)} at ${xLabel} ${label(last.x)}`;
    return (
      `<polyline class="line s${k}" points="${path}"/>` +
      `<circle class="dot s${k}" cx="${px(last.x)}" cy="${py(last.y)}" r="3"><title>${escapeHtml(tip)}</title></circle>`
    );
  });
  return `<svg viewBox="0 0 ${WIDTH} ${HEIGHT}" role="img">${[...grid, ...bottom, ...lines].join('')}</svg>`;
}

/** `text` with the characters that mean something to HTML replaced. */
export function escapeHtml(text: string): string {
  return text
    .replaceAll('&', '&amp;')
    .replaceAll('<', '&lt;')
    .replaceAll('>', '&gt;')
    .replaceAll('"', '&quot;');
}

/** A number for people: at most four significant digits. */
export function label(value: number): string {
  if (value === 0) return '0';
  const size = Math.abs(value);
  return size >= 1e6 || size < 1e-3 ? value.toExponential(1) : String(Number(value.toPrecision(4)));
}

/** About five round ticks that cover `values`, and where on the axis (0..1) a value lies. */
export function axis(values: readonly number[]): { ticks: number[]; share: (value: number) => number } {
  const low = values.reduce((a, b) => Math.min(a, b));
  const high = values.reduce((a, b) => Math.max(a, b));
  const span = high - low || Math.abs(high) || 1;
  const rough = span / 4;
  const magnitude = 10 ** Math.floor(Math.log10(rough));
  const step =
    [1, 2, 5, 10].map((factor) => factor * magnitude).find((candidate) => candidate >= rough) ?? rough;
  const first = Math.floor(low / step);
  const last = Math.max(Math.ceil(high / step), first + 1);
  const ticks = Array.from({ length: last - first + 1 }, (_, k) =>
    Number(((first + k) * step).toPrecision(12)),
  );
  return { ticks, share: (value) => (value - first * step) / ((last - first) * step) };
}

function thin(points: readonly Point[]): readonly Point[] {
  const stride = Math.ceil(points.length / MAX_POINTS);
  return stride === 1 ? points : points.filter((_, k) => k % stride === 0 || k === points.length - 1);
}

function round(value: number): number {
  return Math.round(value * 10) / 10;
}
