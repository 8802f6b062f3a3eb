import { init } from 'echarts';
import type { Attempt } from './main-job';

/** Runs of one setting, one for each seed. */
export interface Curves {
  name: string;
  runs: readonly Attempt[];
}

const COLUMNS = 4;
const PANEL = { width: 210, height: 130, left: 40, top: 34, gapX: 44, gapY: 52 };
const GREY = '#8a8a8a';
const OWN = '#2f6fdb';

/** One panel for each setting, with its runs before those of `baseline`, as SVG. */
export function smallMultiples(all: readonly Curves[], baseline: string, steps: number): string {
  const reference = curvesOf(all.find(({ name }) => name === baseline)?.runs ?? []);
  const rows = Math.ceil(all.length / COLUMNS);
  const chart = init(null, null, {
    renderer: 'svg',
    ssr: true,
    width: PANEL.left + COLUMNS * (PANEL.width + PANEL.gapX),
    height: PANEL.top + rows * (PANEL.height + PANEL.gapY),
  });
  const place = (i: number): { left: number; top: number } => ({
    left: PANEL.left + (i % COLUMNS) * (PANEL.width + PANEL.gapX),
    top: PANEL.top + Math.floor(i / COLUMNS) * (PANEL.height + PANEL.gapY),
  });
  const axis = { type: 'value' as const, axisLabel: { color: GREY, fontSize: 10 } };
  const line = { type: 'line' as const, silent: true, symbol: 'none' };
  chart.setOption({
    animation: false,
    title: all.map(({ name }, i) => ({
      ...{ text: name, left: place(i).left, top: place(i).top - 24 },
      textStyle: { color: GREY, fontSize: 12 },
    })),
    grid: all.map((_, i) => ({ ...place(i), width: PANEL.width, height: PANEL.height })),
    xAxis: all.map((_, i) => ({ ...axis, gridIndex: i, min: 0, max: steps, splitLine: { show: false } })),
    yAxis: all.map((_, i) => ({
      ...{ ...axis, gridIndex: i, min: 0.4, max: 1 },
      splitLine: { lineStyle: { color: GREY, opacity: 0.25 } },
    })),
    series: all.flatMap(({ runs }, i) => [
      ...reference.map((points) => ({
        ...{ ...line, xAxisIndex: i, yAxisIndex: i, color: GREY, data: points },
        lineStyle: { width: 1, opacity: 0.6 },
      })),
      ...curvesOf(runs).map((points, k) => ({
        ...{ ...line, xAxisIndex: i, yAxisIndex: i, color: OWN, data: points },
        lineStyle: { width: 1.6, type: k === 0 ? ('solid' as const) : ('dashed' as const) },
      })),
    ]),
  });
  const svg = chart.renderToSVGString();
  chart.dispose();
  return svg;
}

/** [step, accuracy] of the runs that ended. */
function curvesOf(runs: readonly Attempt[]): [number, number][][] {
  return runs.flatMap((run) =>
    typeof run === 'string' ? [] : [run.points.map(({ step, accuracy }) => [step, accuracy])],
  ) as [number, number][][];
}
