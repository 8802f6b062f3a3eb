import type { MetricsRow, Span } from '../../../src/api';
import { meaningOf, unitOf } from '../charts/chart-card';
import { runPath } from '../data/api-client';
import { useAnswer } from '../data/use-answer';
import { formatValue } from '../format/numbers';
import { Waterfall } from '../parts/waterfall';
import { rolloutHref, runHref, stepHref } from '../route';
import type { KnownRun } from './known-run';

/** One optimizer step: its trace, and what was measured. */
export function StepView({ run, step }: { run: KnownRun; step: number }) {
  const { id, state } = run.view.run;
  const everyMs = state === 'running' ? { everyMs: 2_000 } : {};
  const { data: spans, problem } = useAnswer<Span[]>(`${runPath(id)}/steps/${step}`, everyMs);
  const row = run.rows.find((one) => one.step === step);
  const rollouts = rolloutsOf(spans ?? []);
  return (
    <>
      <div class="title-row">
        <h2>Step {step}</h2>
        <span class="actions">
          {step > 1 && <a href={stepHref(id, step - 1)}>Step {step - 1}</a>}
          <a href={stepHref(id, step + 1)}>Step {step + 1}</a>
          <a href={runHref(id, 'curves')}>All curves</a>
        </span>
      </div>
      <section aria-labelledby="trace">
        <h3 id="trace">Trace</h3>
        {problem !== null && <p class="bad">{problem.message}</p>}
        {spans?.length === 0 && <p class="empty">There is no trace of this step.</p>}
        {spans !== null && spans.length > 0 && (
          <div class="card">
            <Waterfall runId={id} spans={spans} />
          </div>
        )}
        {rollouts.length > 0 && (
          <p>
            Traced rollouts of its batch:{' '}
            {rollouts.flatMap((index) => [
              <a key={index} href={rolloutHref(id, index)}>
                {index}
              </a>,
              ' ',
            ])}
          </p>
        )}
      </section>
      <section aria-labelledby="measured">
        <h3 id="measured">Measured</h3>
        {row === undefined ? <AskedFor id={id} step={step} /> : <Measured row={row} />}
      </section>
    </>
  );
}

/** The metrics of a step that is not among the rows the page has: it has a choice of those of a long run. */
function AskedFor({ id, step }: { id: string; step: number }) {
  const { data, problem } = useAnswer<MetricsRow[]>(`${runPath(id)}/metrics?step=${step}`);
  if (problem !== null) return <p class="bad">{problem.message}</p>;
  if (data === null) return <p class="muted">Loading …</p>;
  const [row] = data;
  return row === undefined ? <p class="empty">Nothing is known of this step.</p> : <Measured row={row} />;
}

function Measured({ row }: { row: MetricsRow }) {
  return (
    <dl class="values card columns">
      {Object.entries(row).map(([key, value]) => (
        <div key={key}>
          <dt title={meaningOf(key)}>{key}</dt>
          <dd>{formatValue(value, unitOf(key))}</dd>
        </div>
      ))}
    </dl>
  );
}

/** The rollouts that the root of a step's trace links to. */
function rolloutsOf(spans: readonly Span[]): number[] {
  return spans.flatMap(({ links }) =>
    links.flatMap(({ attributes }) => {
      const index = attributes['forge.rollout.index'];
      return typeof index === 'number' ? [index] : [];
    }),
  );
}
