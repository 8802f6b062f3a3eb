import type { ComponentChildren } from 'preact';
import type { MetricsRow, RunView, Verdict } from '../../../src/api';
import { meaningOf } from '../charts/chart-card';
import { formatDuration, formatNumber, formatShare, formatShareChange, formatValue } from '../format/numbers';
import { StateBadge } from '../parts/state-badge';
import { StepBar } from '../parts/step-bar';
import { newestOf } from './newest-of';

export interface HeadlineProps {
  view: RunView;
  rows: readonly MetricsRow[];
  /** Null: no bound; undefined: not known. */
  maxStaleness: number | null | undefined;
}

/** What is to be known within ten seconds. */
export function Headline({ view: { run, verdict, live }, rows, maxStaleness }: HeadlineProps) {
  const { accuracy, startAccuracy } = run;
  const elapsedS = newestOf(rows, 'time/elapsed_s');
  const reward = newestOf(rows, 'reward/mean');
  return (
    <section class="headline" aria-label="How it stands">
      <div class="title-row">
        <h1>{run.id}</h1>
        <span aria-live="polite">
          <StateBadge state={run.state} isPaused={live?.isPaused ?? false} />
        </span>
      </div>
      {run.message !== null && <p class="muted message">{run.message}</p>}
      <VerdictLine verdict={verdict} />
      <dl class="facts">
        <Fact name="Step" meaning={meaningOf('step')}>
          <StepBar step={run.step} steps={run.steps} />
        </Fact>
        <Fact name="Accuracy" meaning={meaningOf('eval/accuracy')}>
          {formatShare(accuracy)}
          {accuracy !== null && startAccuracy !== null && (
            <Small isGood={accuracy > startAccuracy}>
              {formatShareChange(accuracy - startAccuracy)} since the start
            </Small>
          )}
        </Fact>
        <Fact name="Reward" meaning={meaningOf('reward/mean')}>
          {formatNumber(reward)}
          <Small>from {formatNumber(rows[0]?.['reward/mean'])}</Small>
        </Fact>
        <Fact name="Lag, largest" meaning={meaningOf('lag/max')}>
          {formatNumber(newestOf(rows, 'lag/max'))}
          <Small>
            {maxStaleness === undefined
              ? ''
              : maxStaleness === null
                ? 'no bound'
                : `of ${maxStaleness} allowed`}
          </Small>
        </Fact>
        <Fact name="Generated" meaning={meaningOf('tokens/generated_per_second')}>
          {formatValue(newestOf(rows, 'tokens/generated_per_second'), '')}
          <Small>tokens/s</Small>
        </Fact>
        <Fact name="Elapsed" meaning={meaningOf('time/elapsed_s')}>
          {formatDuration(elapsedS === undefined ? null : 1000 * elapsedS)}
          {live !== null && <Small>{live.phase}</Small>}
        </Fact>
      </dl>
    </section>
  );
}

/** What is to be typed. */
const COMMAND = /(forge [a-z]+ \S+ [^\s,;]+?)(?=[,;.]?(?:\s|$))/;

/** The name of the bottleneck, and what to do about it. */
function VerdictLine({ verdict: { bound, text } }: { verdict: Verdict }) {
  const [, name, rest] = /^([a-z]+(?:-bound)?): (.*)$/s.exec(text) ?? [undefined, null, text];
  return (
    <p class={`verdict bound-${bound}`} aria-live="polite">
      {name !== null && <strong>{name} </strong>}
      {rest!.split(COMMAND).map((part, k) => (k % 2 === 1 ? <code key={k}>{part}</code> : part))}
    </p>
  );
}

function Fact({ name, meaning, children }: { name: string; meaning: string; children: ComponentChildren }) {
  return (
    <div title={meaning}>
      <dt>{name}</dt>
      <dd>{children}</dd>
    </div>
  );
}

function Small({ isGood = false, children }: { isGood?: boolean; children: ComponentChildren }) {
  return <small class={isGood ? 'good' : ''}>{children}</small>;
}
