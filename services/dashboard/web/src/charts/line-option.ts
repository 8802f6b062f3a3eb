import type { EChartsCoreOption } from 'echarts/core';
import { formatCount, formatTick, formatValue } from '../format/numbers';
import { byteAxis } from './byte-axis';
import { markLabels, type Mark, type Series } from './curve';
import type { Palette } from './palette';
import { smooth, windowFor } from './smooth';

export interface LineChartContent {
  series: readonly Series[];
  unit: string;
  marks: readonly Mark[];
  /** Curves one upon another, of shares that add up. */
  isStacked?: boolean;
}

const FONT = 'system-ui, "Segoe UI", Roboto, "Helvetica Neue", sans-serif';

/** The option of the charting library: each noisy curve pale, and its moving mean. */
export function lineOption(content: LineChartContent, palette: Palette): EChartsCoreOption {
  const { series, unit, isStacked = false } = content;
  const axisText = { color: palette.muted, fontSize: 11, fontFamily: FONT };
  return {
    animation: false,
    grid: { left: 4, right: 8, top: 10, bottom: 2, outerBoundsMode: 'same', outerBoundsContain: 'axisLabel' },
    textStyle: { fontFamily: FONT },
    xAxis: {
      type: 'value',
      min: 'dataMin',
      max: 'dataMax',
      axisLabel: { ...axisText, ...X_LABELS },
      axisLine: { lineStyle: { color: palette.grid } },
      axisTick: { show: false },
      splitLine: { show: false },
      axisPointer: { snap: true, label: { show: false } },
      splitNumber: 4,
      minInterval: 1,
    },
    yAxis: {
      type: 'value',
      scale: !isStacked && unit !== 'share',
      min: fromZero,
      ...((isStacked || isWholeShare(content)) && { min: 0, max: 1, interval: 0.25 }),
      splitNumber: 3,
      axisLabel: { ...axisText, formatter: (value: number) => formatTick(value, unit) },
      splitLine: { lineStyle: { color: palette.grid } },
      ...(unit === 'bytes' && axisOfBytes(content, axisText)),
    },
    tooltip: {
      trigger: 'axis',
      confine: true,
      className: 'chart-tooltip',
      backgroundColor: palette.ground,
      borderColor: palette.grid,
      padding: [6, 10],
      textStyle: { color: palette.text, fontSize: 12 },
      axisPointer: { type: 'line', lineStyle: { color: palette.muted, type: 'solid', width: 1 } },
      transitionDuration: 0,
      formatter: (hovered: Hovered[]) => tooltip(hovered, content, palette),
    },
    series: series.flatMap((one, k) => curves(one, k, content, palette)),
  };
}

export const colorOf = (series: Series, k: number, palette: Palette): string =>
  palette.series[series.color ?? k % (palette.series.length - 1)]!;

/** A curve, before it the noise it is the mean of. The first lies upon the others. */
function curves(series: Series, k: number, content: LineChartContent, palette: Palette): object[] {
  const { name, points, isDashed = false, isStepped = false } = series;
  const { isStacked = false } = content;
  const isOneOfMany = content.series.length > 2;
  const color = colorOf(series, k, palette);
  const marks = k === 0 ? content.marks : [];
  const window = isStepped ? 1 : windowFor(points.length);
  const line = { width: 1.75, color, type: isDashed ? [5, 3] : 'solid' };
  const common = {
    ...{
      type: 'line',
      name,
      color,
      showSymbol: points.length < 2,
      symbolSize: 5,
      sampling: 'lttb',
      silent: true,
    },
    ...(isStepped && { step: 'end' }),
    ...(isStacked && { stack: 'all', areaStyle: { opacity: 0.55 }, sampling: undefined }),
  };
  const means = smooth(
    points.map(([, value]) => value),
    window,
  );
  const mean = {
    ...common,
    data: points.map(([step], k) => [step, means[k]!]),
    lineStyle: isStacked ? { ...line, width: 0.75 } : line,
    ...(marks.length > 0 && { markLine: markLines(marks, spanOf(content.series), palette) }),
  };
  if (window === 1 || isStacked || isOneOfMany) return [mean];
  return [{ ...common, data: points, lineStyle: { ...line, width: 1, opacity: 0.28, type: 'solid' } }, mean];
}

/** Marks that are closer than that share a label. */
const LABEL_SHARE = 0.12;

const X_LABELS = {
  hideOverlap: true,
  showMaxLabel: true,
  alignMinLabel: 'left',
  alignMaxLabel: 'right',
  formatter: (step: number) => formatCount(step),
};

/** Zero where that is not far from the values. */
const fromZero = ({ min, max }: { min: number; max: number }): number | undefined =>
  max > 0 && min >= -0.01 * max && min < 0.3 * max ? 0 : undefined;

/** The charting library's own ticks are round numbers of bytes, and odd ones of MiB. */
function axisOfBytes({ series }: LineChartContent, axisText: object): object {
  const values = series.flatMap(({ points }) => points.map(([, value]) => value));
  const least = values.reduce((a, b) => Math.min(a, b), Infinity);
  const most = values.reduce((a, b) => Math.max(a, b), 0);
  if (values.length === 0) return {};
  const { format, ...range } = byteAxis(fromZero({ min: least, max: most }) ?? least, most);
  return { ...range, axisLabel: { ...axisText, formatter: format } };
}

/** A share that comes near to all of it is seen against that; so is one that is nothing. */
function isWholeShare({ unit, series }: LineChartContent): boolean {
  const most = Math.max(
    0,
    ...series.map(({ points }) => points.reduce((max, [, value]) => Math.max(max, value), 0)),
  );
  return unit === 'share' && (most > 0.7 || most === 0);
}

/** Steps from the first to the last. */
function spanOf(series: readonly Series[]): number {
  const ends = series.flatMap(({ points }) =>
    points.length === 0 ? [] : [points[0]![0], points.at(-1)![0]],
  );
  return ends.length === 0 ? 0 : Math.max(...ends) - Math.min(...ends);
}

function markLines(marks: readonly Mark[], span: number, palette: Palette): object {
  return {
    symbol: 'none',
    silent: true,
    animation: false,
    lineStyle: { color: palette.mark, type: [2, 3], width: 1.25 },
    label: {
      color: palette.mark,
      fontSize: 10,
      distance: 1,
      formatter: '{b}',
      position: 'insideEndTop',
      rotate: 0,
      align: 'left',
      offset: [3, 10],
    },
    data: markLabels(marks, span * LABEL_SHARE).map(({ step, label }) => ({ xAxis: step, name: label })),
  };
}

interface Hovered {
  axisValue: number;
}

/** Elements with classes: the page allows no styles in text. */
function tooltip(
  hovered: Hovered[],
  { series, unit, marks }: LineChartContent,
  palette: Palette,
): HTMLElement | string {
  const step = hovered[0]?.axisValue;
  if (step === undefined) return '';
  const box = document.createElement('div');
  box.className = 'tooltip';
  box.append(line('tooltip-step', `step ${step}`));
  for (const [k, one] of series.entries()) {
    const at = one.points.findLast(([x]) => x <= step);
    if (at === undefined) continue;
    const row = line('tooltip-row', '');
    const swatch = line(one.isDashed ? 'swatch dashed' : 'swatch', '', 'span');
    swatch.style.color = colorOf(one, k, palette);
    row.append(
      swatch,
      line('tooltip-name', one.name, 'span'),
      line('tooltip-value', formatValue(at[1], unit), 'span'),
    );
    box.append(row);
  }
  for (const mark of marks.filter((one) => one.step === step)) box.append(line('tooltip-mark', mark.label));
  return box;
}

function line(className: string, text: string, tag = 'div'): HTMLElement {
  const element = document.createElement(tag);
  element.className = className;
  element.textContent = text;
  return element;
}
