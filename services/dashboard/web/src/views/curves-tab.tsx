import { useMemo } from 'preact/hooks';
import { MOST_ROWS } from '../../../src/domain/thinned-rows';
import { ChartCard } from '../charts/chart-card';
import { curveSections } from '../charts/curve-groups';
import { LagHeatMap } from '../charts/lag-heat-map';
import { formatCount } from '../format/numbers';
import { ChangeList } from './change-list';
import { useStalenessBounds, type KnownRun } from './known-run';

/** All metrics as curves. */
export function CurvesTab({ run }: { run: KnownRun }) {
  const { rows, marks } = run;
  const bounds = useStalenessBounds(run);
  const keys = useMemo(() => [...new Set(rows.flatMap((row) => Object.keys(row)))], [rows]);
  const sections = useMemo(() => curveSections(keys), [keys.join(' ')]);
  if (rows.length === 0) return <p class="empty">No step is done yet.</p>;
  const steps = rows.at(-1)!.step - rows[0]!.step + 1;
  return (
    <>
      {steps > MOST_ROWS && (
        <p class="legend-line muted">
          Drawn from {formatCount(rows.length)} of {formatCount(steps)} steps.
        </p>
      )}
      <ChangeList marks={marks} />
      {sections.map(({ title, groups }) => (
        <section key={title} aria-label={title}>
          <h2>{title}</h2>
          <div class="charts">
            {groups.map((group) => (
              <ChartCard key={group.title} {...group} rows={rows} marks={marks} />
            ))}
            {title.startsWith('Staleness') && (
              <figure class="card chart-card">
                <figcaption>
                  <span class="chart-title">Histogram of the lag, in versions</span>
                </figcaption>
                <LagHeatMap rows={rows} bounds={bounds} />
              </figure>
            )}
          </div>
        </section>
      ))}
    </>
  );
}
