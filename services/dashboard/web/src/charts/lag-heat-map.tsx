import { useMemo } from 'preact/hooks';
import type { MetricsRow } from '../../../src/api';
import { formatCount, formatNumber, formatShare } from '../format/numbers';
import { lagHistogram, meanLag, withBound, type LagColumn } from './lag-histogram';
import { boundAt, type StalenessBound } from './staleness-bound';

const MOST_COLUMNS = 80;
const CELL = 10;

export interface LagHeatMapProps {
  rows: readonly MetricsRow[];
  bounds: readonly StalenessBound[];
}

/** How stale the trained tokens were: steps from left to right, lag upwards, the darker the more of them. */
export function LagHeatMap({ rows, bounds }: LagHeatMapProps) {
  const { columns, lags } = useMemo(
    () => withBound(lagHistogram(rows, MOST_COLUMNS), bounds),
    [rows, bounds],
  );
  const newest = columns.at(-1);
  if (newest === undefined) return <p class="empty">The histogram of the lag was not measured.</p>;
  const height = lags.length * CELL;
  const top = (lag: number): number => height - (lag + 1) * CELL;
  const heights = columns.map(({ toStep }) => {
    const bound = boundAt(bounds, toStep);
    return bound === null || bound + 1 >= lags.length ? null : top(bound);
  });
  const maxStaleness = boundAt(bounds, newest.toStep);
  return (
    <div class="heat-map" role="img" aria-label={inWords(newest, lags)}>
      <div class="heat-map-lags" aria-hidden="true">
        {lags.toReversed().map((lag, k) => (
          <span key={lag}>
            {k === 0 || k === lags.length - 1 || lags.length < 8 || (lags.length - 1 - k) % 4 === 0
              ? lag
              : ''}
          </span>
        ))}
      </div>
      <svg
        viewBox={`0 0 ${columns.length * CELL} ${height}`}
        preserveAspectRatio="none"
        aria-hidden="true"
        style={{ '--lags': lags.length }}
      >
        {columns.map((column, x) =>
          column.shares.map((share, lag) =>
            share === 0 ? null : (
              <rect
                key={lag}
                x={x * CELL}
                y={top(lag)}
                width={CELL}
                height={CELL}
                fill-opacity={Math.max(0.06, share ** 0.6)}
              >
                <title>{`${stepsOf(column)}: ${formatShare(share)} of the trained tokens have lag ${lags[lag]}`}</title>
              </rect>
            ),
          ),
        )}
        <path class="bound" d={stairs(heights)} vector-effect="non-scaling-stroke" />
      </svg>
      <div class="heat-map-steps" aria-hidden="true">
        <span>step {formatCount(columns[0]!.fromStep)}</span>
        <span>{formatCount(newest.toStep)}</span>
      </div>
      <div class="heat-map-legends" aria-hidden="true">
        {maxStaleness !== null && (
          <span class="heat-map-legend">
            <span class="bound-sign" /> maxStaleness {maxStaleness}
          </span>
        )}
        <span class="heat-map-legend">
          0 <span class="ramp" /> 100 % of tokens
        </span>
      </div>
    </div>
  );
}

/** A line over all columns at their heights, with gaps where a column has no height. */
function stairs(heights: readonly (number | null)[]): string {
  return heights
    .map((y, x) =>
      y === null ? '' : `${(heights[x - 1] ?? null) === null ? 'M' : 'L'}${x * CELL} ${y}h${CELL}`,
    )
    .join('');
}

const stepsOf = ({ fromStep, toStep }: LagColumn): string =>
  fromStep === toStep ? `step ${fromStep}` : `steps ${fromStep} to ${toStep}`;

function inWords(column: LagColumn, lags: readonly string[]): string {
  const shares = column.shares.flatMap((share, lag) =>
    share === 0 ? [] : [`${formatShare(share)} of lag ${lags[lag]}`],
  );
  return `Histogram of the lag over time. At ${stepsOf(column)} the trained tokens are ${shares.join(', ')}; ${formatNumber(meanLag(column))} versions in the mean.`;
}
