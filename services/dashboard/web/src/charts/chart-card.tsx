import { useMemo } from 'preact/hooks';
import type { MetricsRow } from '../../../src/api';
import { formatValue } from '../format/numbers';
import { pointsOf, withoutTwins, type Mark, type Series } from './curve';
import { curveName, type CurveGroup } from './curve-groups';
import { definitionOf } from './metric-definitions';
import { LineChart } from './line-chart';

export interface ChartCardProps extends CurveGroup {
  rows: readonly MetricsRow[];
  marks: readonly Mark[];
}

/** Metrics as curves, with their newest values and what they mean. */
export function ChartCard({ title, keys, rows, marks, isStacked = false }: ChartCardProps) {
  const key = keys.join(' ');
  const series = useMemo(() => {
    const all = keys.map((one, k): Series => ({
      name: curveName(one, { keys, isStacked }),
      points: pointsOf(rows, one),
      color: isStacked ? colorOfShare(one, k) : k % 6,
      isStepped: one.startsWith('eval/'),
    }));
    return isStacked ? all : withoutTwins(all);
  }, [key, rows, isStacked]);
  const unit = unitOf(keys[0]!);
  return (
    <figure class="card chart-card">
      <figcaption>
        <ChartTitle title={title} keys={keys} />
        <ul class="legend">
          {series.map(({ name, points, color = 0 }) => (
            <li key={name}>
              {series.length > 1 && <span class={`swatch color-${1 + color}`} aria-hidden="true" />}
              {keys.length > 1 && <span class="legend-name">{name}</span>}
              <span class="legend-value">{formatLegend(points.at(-1)?.[1], unit)}</span>
            </li>
          ))}
        </ul>
      </figcaption>
      <LineChart title={title} group="run" unit={unit} marks={marks} series={series} isStacked={isStacked} />
    </figure>
  );
}

/** The name of a curve, with its unit where numbers do not say it by themselves; its meaning on hover. */
export function ChartTitle({ title, keys }: Pick<CurveGroup, 'title' | 'keys'>) {
  const unit = unitOf(keys[0]!);
  return (
    <span class="chart-title" title={keys.map(meaningOf).join('\n')}>
      {title}
      {UNITS_TO_NAME.has(unit) && <span class="muted">, {unit}</span>}
    </span>
  );
}

/** Units that numbers do not say by themselves. */
const UNITS_TO_NAME = new Set([
  'nats',
  'tokens',
  'tokens/s',
  'versions',
  'groups',
  'reads',
  'messages',
  'steps',
]);
const formatLegend = (value: number | undefined, unit: string): string =>
  formatValue(value, UNITS_TO_NAME.has(unit) ? '' : unit);

export const unitOf = (key: string): string => definitionOf(key, METRIC_DEFINITIONS)?.unit ?? '';

/** Meaning of a metric as docs/metrics.md says it. */
export function meaningOf(key: string): string {
  const found = definitionOf(key, METRIC_DEFINITIONS);
  return found === null ? key : `${key}: ${found.formula}${found.unit === '' ? '' : ` [${found.unit}]`}`;
}

/** The order of shares: busy, what it waits for, idle, as in the pipeline. */
function colorOfShare(key: string, k: number): number {
  if (key.startsWith('busy/')) return 0;
  return key.startsWith('idle/') ? IDLE_COLOR : WAIT_COLORS[(k - 1) % WAIT_COLORS.length]!;
}
const IDLE_COLOR = 6;
const WAIT_COLORS = [1, 3, 5, 2];
