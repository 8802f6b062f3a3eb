import { useMemo } from 'preact/hooks';
import type { MetricsRow } from '../../../src/api';
import { ChartTitle, unitOf } from '../charts/chart-card';
import { pointsOf, type Series } from '../charts/curve';
import { LineChart } from '../charts/line-chart';
import type { RunFeedState } from '../data/run-feed';
import { useRun } from '../data/use-run';
import { differingSettings } from '../format/differing-settings';
import { formatDuration, formatNumber, formatShare } from '../format/numbers';
import { sentence } from '../format/sentence';
import { Banner } from '../parts/banner';
import { Problem } from '../parts/problem';
import { StateBadge } from '../parts/state-badge';
import { runHref } from '../route';
import { newestOf } from './newest-of';

const COMPARED = [
  ['Accuracy', 'eval/accuracy'],
  ['Reward', 'reward/mean'],
  ['Loss', 'loss'],
  ['KL to the behaviour policy', 'kl/behaviour'],
  ['KL to the reference', 'kl/reference'],
  ['Entropy', 'entropy'],
  ['Gradient norm', 'gradient_norm'],
  ['Mean lag', 'lag/mean'],
  ['Generated', 'tokens/generated_per_second'],
  ['Time of a step', 'time/step_ms'],
] as const;

/** Two runs over each other, and the settings that differ. */
export function CompareView({ a, b }: { a: string; b: string }) {
  const runs = [useRun(a), useRun(b)] as const;
  const refused = runs.find(({ refusal, view }) => refusal !== null && view === null);
  if (refused !== undefined) {
    return (
      <Problem title="These can’t be compared">
        {sentence(refused.refusal?.message ?? '')} <a href="#/">All runs</a>
      </Problem>
    );
  }
  const [left, right] = runs;
  return (
    <>
      {runs.some(({ connection }) => connection === 'lost') && (
        <Banner>The dashboard’s server does not answer. Trying again.</Banner>
      )}
      <h1>Compare</h1>
      <Summary ids={[a, b]} runs={runs} />
      <section aria-labelledby="overlaid">
        <h2 id="overlaid">Curves</h2>
        <div class="charts compared">
          {COMPARED.map(([title, key]) => (
            <Overlay key={key} title={title} metric={key} ids={[a, b]} rows={[left.rows, right.rows]} />
          ))}
        </div>
      </section>
      <Settings ids={[a, b]} configs={[left.view?.config, right.view?.config]} />
    </>
  );
}

type Pair<T> = readonly [T, T];

function RunName({ id, k }: { id: string; k: number }) {
  return (
    <>
      <span class={`swatch line color-${k + 1} ${k === 1 ? 'dashed' : ''}`} aria-hidden="true" />{' '}
      <a href={runHref(id)}>{id}</a>
    </>
  );
}

function Summary({ ids, runs }: { ids: Pair<string>; runs: Pair<RunFeedState> }) {
  return (
    <table class="cards">
      <thead>
        <tr>
          <th scope="col">Run</th>
          <th scope="col">State</th>
          <th scope="col">Step</th>
          <th scope="col">Accuracy</th>
          <th scope="col">Reward</th>
          <th scope="col">Largest lag</th>
          <th scope="col">Elapsed</th>
        </tr>
      </thead>
      <tbody>
        {runs.map(({ view, rows }, k) => {
          const seconds = newestOf(rows, 'time/elapsed_s');
          return (
            <tr key={k}>
              <th scope="row">
                <RunName id={ids[k]!} k={k} />
              </th>
              <td data-label="State">{view === null ? '…' : <StateBadge state={view.run.state} />}</td>
              <td data-label="Step">{formatNumber(view?.run.step)}</td>
              <td data-label="Accuracy">
                {formatShare(view?.run.startAccuracy)} → {formatShare(view?.run.accuracy)}
              </td>
              <td data-label="Reward">{formatNumber(newestOf(rows, 'reward/mean'))}</td>
              <td data-label="Largest lag">{formatNumber(newestOf(rows, 'lag/max'))}</td>
              <td data-label="Elapsed">{formatDuration(seconds === undefined ? null : 1000 * seconds)}</td>
            </tr>
          );
        })}
      </tbody>
    </table>
  );
}

interface OverlayProps {
  title: string;
  metric: string;
  ids: Pair<string>;
  rows: Pair<readonly MetricsRow[]>;
}

const NO_MARKS: never[] = [];

function Overlay({ title, metric, ids, rows: [a, b] }: OverlayProps) {
  const series = useMemo(
    (): Series[] =>
      [a, b].map((rows, k) => ({
        ...{ name: ids[k]!, points: pointsOf(rows, metric), color: k, isDashed: k === 1 },
        isStepped: metric === 'eval/accuracy',
      })),
    [a, b, metric],
  );
  if (series.every(({ points }) => points.length === 0)) return null;
  return (
    <figure class="card chart-card">
      <figcaption>
        <ChartTitle title={title} keys={[metric]} />
      </figcaption>
      <LineChart title={title} group="compare" unit={unitOf(metric)} marks={NO_MARKS} series={series} />
    </figure>
  );
}

function Settings({ ids, configs: [a, b] }: { ids: Pair<string>; configs: Pair<unknown> }) {
  const pairs = differingSettings(a, b);
  return (
    <section aria-labelledby="differing">
      <h2 id="differing">Settings that differ</h2>
      {pairs.length === 0 ? (
        <p class="empty">None: only chance and timing tell them apart.</p>
      ) : (
        <table class="cards">
          <thead>
            <tr>
              <th scope="col">Setting</th>
              {ids.map((id, k) => (
                <th key={id} scope="col">
                  <RunName id={id} k={k} />
                </th>
              ))}
            </tr>
          </thead>
          <tbody>
            {pairs.map((pair) => (
              <tr key={pair.path}>
                <th scope="row">
                  <code>{pair.path}</code>
                </th>
                <td data-label={ids[0]}>{pair.a ?? '–'}</td>
                <td data-label={ids[1]}>{pair.b ?? '–'}</td>
              </tr>
            ))}
          </tbody>
        </table>
      )}
    </section>
  );
}
