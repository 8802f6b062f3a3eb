import { LineChart as Lines } from 'echarts/charts';
import { GridComponent, MarkLineComponent, TooltipComponent } from 'echarts/components';
import { connect, init, use, type EChartsType } from 'echarts/core';
import { CanvasRenderer } from 'echarts/renderers';
import { useEffect, useRef } from 'preact/hooks';
import { useIsDark } from '../parts/theme';
import { useIsVisible } from '../parts/use-is-visible';
import { describeSeries } from './curve';
import { lineOption, type LineChartContent } from './line-option';
import { paletteOf } from './palette';

use([Lines, GridComponent, MarkLineComponent, TooltipComponent, CanvasRenderer]);

export interface LineChartProps extends LineChartContent {
  title: string;
  /** Charts of a group point at the same step. */
  group: string;
}

/** Curves by step. */
export function LineChart({ title, group, ...content }: LineChartProps) {
  const box = useRef<HTMLDivElement>(null);
  const chart = useRef<EChartsType | null>(null);
  const isDark = useIsDark();
  const isVisible = useIsVisible(box);
  useEffect(() => {
    const element = box.current;
    if (element === null) return;
    const drawn = init(element);
    chart.current = drawn;
    drawn.group = group;
    connect(group);
    const resized = new ResizeObserver(() => drawn.resize());
    resized.observe(element);
    return () => {
      resized.disconnect();
      drawn.dispose();
      chart.current = null;
    };
  }, [group]);
  const { series, marks, unit } = content;
  // A chart that can't be seen is drawn again when it can.
  useEffect(() => {
    if (!isVisible) return;
    chart.current?.setOption(lineOption(content, paletteOf(isDark)), {
      replaceMerge: ['series'],
      lazyUpdate: true,
    });
  }, [series, marks, unit, isDark, group, isVisible]);
  return (
    <div ref={box} class="line-chart" role="img" aria-label={`${title}. ${describeSeries(series, unit)}`} />
  );
}
