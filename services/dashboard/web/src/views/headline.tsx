import type { ComponentChildren } from 'preact';
import type { MetricsRow, RunView, Verdict } from '../../../src/api';
import { meaningOf } from '../charts/chart-card';
import { formatDuration, formatNumber, formatShare, formatShareChange, formatValue } from '../format/numbers';
import { verdictWords } from '../../../src/domain/verdict-words';
import { CurrentStep } from '../parts/current-step';
import { StateBadge } from '../parts/state-badge';
import { StepBar } from '../parts/step-bar';
import { newestOf } from './newest-of';

export interface HeadlineProps {
  view: RunView;
  rows: readonly MetricsRow[];
  /** Null: no bound; undefined: not known. */
  maxStaleness: number | null | undefined;
}

/** All that is to be known within ten seconds. */
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
      <VerdictLine id={run.id} verdict={verdict} />
      {live !== null && <CurrentStep current={live.step} />}
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

/** The name of the bottleneck, and what to do about it. */
function VerdictLine({ id, verdict }: { id: string; verdict: Verdict }) {
  const { name, sentence } = verdictWords(id, verdict);
  return (
    <p class={`verdict bound-${verdict.bound}`} aria-live="polite">
      {name !== null && <strong>{name} </strong>}
      {sentence.map((part, k) => (typeof part === 'string' ? part : <code key={k}>{part.command}</code>))}
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
