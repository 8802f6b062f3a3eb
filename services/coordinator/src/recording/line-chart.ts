import { init } from 'echarts';

export interface Series {
  name: string;
  points: readonly { x: number; y: number }[];
}

/** Readable on light and dark ground; the report's legend uses the same. */
export const SERIES_COLORS = ['#2f6fdb', '#d9822b'];
const GREY = '#8a8a8a';
const SIZE = { width: 460, height: 210 };

/** A line chart as an SVG element. Points that are not finite are left out. */
export function lineChart(series: readonly Series[]): string {
  const chart = init(null, null, { renderer: 'svg', ssr: true, ...SIZE });
  const axis = {
    type: 'value' as const,
    scale: true,
    axisLabel: { color: GREY, fontSize: 11, formatter: label },
    splitLine: { lineStyle: { color: GREY, opacity: 0.25 } },
  };
  chart.setOption({
    animation: false,
    color: SERIES_COLORS,
    grid: { left: 8, right: 16, top: 12, bottom: 8, containLabel: true },
    xAxis: { ...axis, splitLine: { show: false } },
    yAxis: axis,
    series: series.map(({ name, points }) => ({
      name,
      type: 'line',
      silent: true,
      showSymbol: points.length === 1,
      sampling: 'lttb',
      lineStyle: { width: 1.8 },
      data: points.filter(({ x, y }) => Number.isFinite(x) && Number.isFinite(y)).map(({ x, y }) => [x, y]),
    })),
  });
  const svg = chart.renderToSVGString();
  chart.dispose();
  return svg;
}

/** A number for people: at most four significant digits. */
export function label(value: number): string {
  const size = Math.abs(value);
  const isPlain = size === 0 || (size >= 1e-3 && size < 1e6);
  return isPlain ? String(Number(value.toPrecision(4))) : value.toExponential(1);
}
