import { init } from 'echarts';
import type { LearningPoint } from './learning-run';

const GREY = '#8a8a8a';

export interface Curve {
  name: string;
  color: string;
  dash: 'solid' | 'dashed' | 'dotted';
  points: readonly LearningPoint[];
}

/** Held-out accuracy from `least` to 1 over seconds, as SVG. */
export function learningCurves(curves: readonly Curve[], least: number): string {
  const chart = init(null, null, { renderer: 'svg', ssr: true, width: 720, height: 320 });
  const axis = { type: 'value' as const, nameTextStyle: { color: GREY }, axisLabel: { color: GREY } };
  chart.setOption({
    animation: false,
    grid: { left: 48, right: 16, top: 76, bottom: 44 },
    legend: { top: 0, textStyle: { color: GREY }, itemWidth: 28, symbolKeepAspect: true },
    xAxis: { ...axis, name: 'seconds', nameLocation: 'middle', nameGap: 28, splitLine: { show: false } },
    yAxis: {
      ...axis,
      min: least,
      max: 1,
      name: 'held-out accuracy',
      nameTextStyle: { color: GREY, align: 'left' },
      splitLine: { lineStyle: { color: GREY, opacity: 0.25 } },
    },
    series: curves.map(({ name, color, dash, points }) => ({
      name,
      type: 'line',
      silent: true,
      symbol: 'none',
      color,
      lineStyle: { width: 1.6, type: dash },
      data: points.map(({ seconds, accuracy }) => [seconds, accuracy]),
    })),
  });
  const svg = chart.renderToSVGString();
  chart.dispose();
  return svg;
}
