import { ChartCard, meaningOf } from '../charts/chart-card';
import { curveSections } from '../charts/curve-groups';
import { LagHeatMap } from '../charts/lag-heat-map';
import { PipelineGraph } from '../charts/pipeline-graph';
import { LedgerBar } from '../parts/ledger-bar';
import { PipelineLegend } from '../parts/pipeline-legend';
import { useHeld } from '../parts/use-held';
import { SampleCard } from '../parts/sample-card';
import { TokenLegend } from '../parts/token-text';
import { runHref } from '../route';
import { ChangeList } from './change-list';
import { useStalenessBounds, type KnownRun } from './known-run';

const CHARTS = ['Accuracy', 'Reward', 'Loss', 'KL divergence'];

/** Whether it learns, how stale it is and what it waits for, on one page. */
export function OverviewTab({ run }: { run: KnownRun }) {
  const { view, rows, marks, samples } = run;
  const id = view.run.id;
  const bounds = useStalenessBounds(run);
  const newest = useHeld(samples[0]);
  const groups = curveSections(Object.keys(rows.at(-1) ?? {})).flatMap((section) => section.groups);
  const charts = CHARTS.flatMap((title) => groups.find((group) => group.title === title) ?? []);
  return (
    <div class="overview">
      <section aria-labelledby="learns">
        <h2 id="learns">Does it learn?</h2>
        {charts.length === 0 && (
          <p class="empty">{view.run.step === 0 ? 'No step is done yet.' : 'Reading what was measured …'}</p>
        )}
        <div class="charts">
          {charts.map(({ title, keys }) => (
            <ChartCard key={title} title={title} keys={keys} rows={rows} marks={marks} />
          ))}
        </div>
        <ChangeList marks={marks} />
      </section>
      <section aria-labelledby="waits">
        <h2 id="waits">What does it wait for?</h2>
        <div class="card">
          <PipelineGraph pipeline={view.pipeline} />
          <PipelineLegend />
        </div>
      </section>
      <div class="two">
        <section aria-labelledby="stale">
          <h2 id="stale" title={meaningOf('lag/share/0')}>
            How stale is what it trains on?
          </h2>
          <div class="card">
            <LagHeatMap rows={rows} bounds={bounds} />
          </div>
        </section>
        <section aria-labelledby="groups">
          <h2 id="groups">Where are the groups?</h2>
          <div class="card">
            {view.ledger === null ? (
              <p class="empty">The ledger is not known.</p>
            ) : (
              <LedgerBar ledger={view.ledger} />
            )}
          </div>
        </section>
      </div>
      {newest.value !== undefined && (
        <section aria-labelledby="newest" {...newest.handlers}>
          <h2 id="newest">
            Newest rollout <a href={runHref(id, 'rollouts')}>more</a>
          </h2>
          <TokenLegend />
          <SampleCard runId={id} sample={newest.value} />
        </section>
      )}
    </div>
  );
}
