import type { WeightsVersion } from '../../../src/api';
import { runPath } from '../data/api-client';
import { useAction } from '../data/use-action';
import { useAnswer } from '../data/use-answer';
import { formatBytes } from '../format/numbers';
import { ConfirmButton } from '../parts/confirm-button';
import { Guarded } from '../parts/guarded';
import { OutcomeLine } from '../parts/outcome-line';
import { whyNotSteered, type KnownRun } from './known-run';

const EVERY_MS = 3_000;

/** The versions that are kept, who uses them, and the way back to one. */
export function WeightsTab({ run }: { run: KnownRun }) {
  const { id, state } = run.view.run;
  const { isAsking, outcome, act } = useAction();
  const isOver = state !== 'running';
  const everyMs = isOver ? {} : { everyMs: EVERY_MS };
  const { data: versions, problem } = useAnswer<WeightsVersion[]>(`${runPath(id)}/weights`, everyMs);
  const rollback = (to: number): void =>
    void act(
      `${runPath(id)}/rollback`,
      { to },
      `A rollback to version ${to} was asked for; the next step makes it.`,
    );
  return (
    <section aria-labelledby="weights">
      <h2 id="weights">Weights</h2>
      {problem !== null && <p class="empty">They can’t be read: {problem.message}</p>}
      {versions === null && problem === null && <p class="muted">Loading …</p>}
      {versions?.length === 0 && <p class="empty">No version is kept.</p>}
      {versions !== null && versions.length > 0 && (
        <Guarded legend="Roll back" barred={whyNotSteered(run)} isBusy={isAsking}>
          <table class="cards">
            <thead>
              <tr>
                <th scope="col">Version</th>
                <th scope="col">SHA-256</th>
                <th scope="col">Size</th>
                <th scope="col">Used by</th>
                {!isOver && (
                  <th scope="col">
                    <span class="visually-hidden">Change</span>
                  </th>
                )}
              </tr>
            </thead>
            <tbody>
              {versions.map(({ version, sha256, sizeBytes, rolledBackTo, usedBy }) => (
                <tr key={version}>
                  <th scope="row">
                    {version}
                    {rolledBackTo !== null && (
                      <span class="muted"> = version {rolledBackTo}, rolled back</span>
                    )}
                  </th>
                  <td data-label="SHA-256">
                    <code title={sha256}>{sha256.slice(0, 16)}</code>
                  </td>
                  <td data-label="Size">{formatBytes(sizeBytes)}</td>
                  <td data-label="Used by" class="muted">
                    {usedBy.join(', ') || '–'}
                  </td>
                  {!isOver && (
                    <td>
                      <ConfirmButton
                        label={`Roll back to version ${version}`}
                        question={`Roll back to version ${version}? The next step trains nothing and has its weights; what was learned since is given up.`}
                        onConfirm={() => rollback(version)}
                      >
                        Roll back
                      </ConfirmButton>
                    </td>
                  )}
                </tr>
              ))}
            </tbody>
          </table>
        </Guarded>
      )}
      <OutcomeLine outcome={outcome} />
    </section>
  );
}
