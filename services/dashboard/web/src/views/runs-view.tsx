import { useState } from 'preact/hooks';
import type { RunListing } from '../../../src/api';
import { useAnswer } from '../data/use-answer';
import { formatShare, formatShareChange, formatTime } from '../format/numbers';
import { Banner } from '../parts/banner';
import { StateBadge } from '../parts/state-badge';
import { StepBar } from '../parts/step-bar';
import { compareHref, runHref } from '../route';

const EVERY_MS = 2_000;

/** All runs; two of them can be compared. */
export function RunsView() {
  const { data: runs, problem } = useAnswer<RunListing[]>('/runs', { everyMs: EVERY_MS });
  const [chosen, setChosen] = useState<readonly string[]>([]);
  const choose = (id: string): void =>
    setChosen((old) => (old.includes(id) ? old.filter((one) => one !== id) : [...old, id].slice(-2)));
  return (
    <>
      {problem !== null && <Banner>{problem.message} Trying again.</Banner>}
      <div class="title-row">
        <h1>Runs</h1>
        {(runs?.length ?? 0) > 1 && <CompareLink chosen={chosen} />}
      </div>
      {runs === null && problem === null && <p class="muted">Loading …</p>}
      {runs?.length === 0 && (
        <p class="empty">
          There are no runs yet. <code>forge run arithmetic-grpo</code> starts one, and it is shown here.
        </p>
      )}
      {runs !== null && runs.length > 0 && (
        <table class="cards runs">
          <thead>
            <tr>
              <th scope="col">
                <span class="visually-hidden">Compare</span>
              </th>
              <th scope="col">Run</th>
              <th scope="col">State</th>
              <th scope="col">Step</th>
              <th scope="col" title="Held-out samples answered correctly by greedy decoding">
                Accuracy
              </th>
              <th scope="col">Seed</th>
              <th scope="col">Started</th>
            </tr>
          </thead>
          <tbody>
            {runs.map((run) => (
              <RunRow
                key={run.id}
                run={run}
                isChosen={chosen.includes(run.id)}
                onChoose={() => choose(run.id)}
              />
            ))}
          </tbody>
        </table>
      )}
    </>
  );
}

function CompareLink({ chosen }: { chosen: readonly string[] }) {
  const [a, b] = chosen;
  if (a === undefined) return <span class="muted">Choose two to compare them.</span>;
  if (b === undefined) return <span class="muted">Choose another one to compare it with.</span>;
  return (
    <a class="button primary" href={compareHref(a, b)}>
      Compare the two
    </a>
  );
}

interface RunRowProps {
  run: RunListing;
  isChosen: boolean;
  onChoose: () => void;
}

function RunRow({ run, isChosen, onChoose }: RunRowProps) {
  const { id, state, message, step, steps, startAccuracy, accuracy, seed, startedAt, problem } = run;
  if (problem !== null) {
    return (
      <tr>
        <td />
        <th scope="row">{id}</th>
        <td colSpan={5} class="muted">
          can’t be shown: {problem}
        </td>
      </tr>
    );
  }
  return (
    <tr>
      <td class="choice">
        <label>
          <input type="checkbox" checked={isChosen} onChange={onChoose} />
          <span class="visually-hidden">Compare {id}</span>
        </label>
      </td>
      <th scope="row">
        <a href={runHref(id)}>{id}</a>
      </th>
      <td data-label="State" title={message ?? undefined}>
        <StateBadge state={state} />
      </td>
      <td data-label="Step">
        <StepBar step={step} steps={steps} />
      </td>
      <td data-label="Accuracy">
        <span>
          {formatShare(accuracy)}{' '}
          {accuracy !== null && startAccuracy !== null && (
            <span class="muted">{formatShareChange(accuracy - startAccuracy)}</span>
          )}
        </span>
      </td>
      <td data-label="Seed">{seed}</td>
      <td data-label="Started" class="muted">
        {formatTime(startedAt)}
      </td>
    </tr>
  );
}
