import type { DeadLetterView } from '../../../src/api';
import { runPath } from '../data/api-client';
import { useAction } from '../data/use-action';
import { useAnswer } from '../data/use-answer';
import { formatBytes, formatCount, formatTime } from '../format/numbers';
import { ConfirmButton } from '../parts/confirm-button';
import { Guarded } from '../parts/guarded';
import { OutcomeLine } from '../parts/outcome-line';
import { rolloutHref } from '../route';
import type { KnownRun } from './known-run';

/** Messages that were given up: their reason, their content, and the choices left. */
export function DeadLetters({ run: { view } }: { run: KnownRun }) {
  const { id, state } = view.run;
  const { isAsking, outcome, act } = useAction();
  const { data: letters, problem } = useAnswer<DeadLetterView[]>(`${runPath(id)}/dead-letters`, {
    turn: `${view.live?.deadLetters} ${outcome?.text}`,
  });
  const decide = (letter: DeadLetterView, what: 'replay' | 'discard'): void => {
    const path = `${runPath(id)}/dead-letters/${encodeURIComponent(letter.id)}/${what}`;
    void act(
      path,
      {},
      what === 'replay' ? `${letter.id} was asked to be tried again.` : `${letter.id} is discarded.`,
    );
  };
  return (
    <section aria-labelledby="dead-letters">
      <h2 id="dead-letters">Dead letters</h2>
      {problem !== null && <p class="empty">They can’t be read: {problem.message}</p>}
      {letters === null && problem === null && <p class="muted">Loading …</p>}
      {letters?.length === 0 && <p class="empty">There are none: nothing was given up.</p>}
      {letters !== null && letters.length > 0 && (
        <Guarded legend="Replay or discard dead letters" isBusy={isAsking}>
          <ul class="letters">
            {letters.map((letter) => (
              <Letter
                key={letter.id}
                runId={id}
                letter={letter}
                // A letter about no group, or of a run that has all its steps, can't be rolled out again.
                canReplay={letter.index !== null && state !== 'finished'}
                onDecide={decide}
              />
            ))}
          </ul>
        </Guarded>
      )}
      <OutcomeLine outcome={outcome} />
    </section>
  );
}

interface LetterProps {
  runId: string;
  letter: DeadLetterView;
  canReplay: boolean;
  onDecide: (letter: DeadLetterView, what: 'replay' | 'discard') => void;
}

function Letter({ runId, letter, canReplay, onDecide }: LetterProps) {
  const { id, atMs, kind, index, code, message, attempts, payload, sizeBytes } = letter;
  return (
    <li class="card letter">
      <header>
        <strong>{kind}</strong>
        {index !== null && <a href={rolloutHref(runId, index)}>rollout {formatCount(index)}</a>}
        <code>{code}</code>
        <span class="muted">
          {formatTime(new Date(atMs).toISOString())} · {attempts} {attempts === 1 ? 'attempt' : 'attempts'} ·{' '}
          {formatBytes(sizeBytes)}
        </span>
      </header>
      <p>{message}</p>
      <details>
        <summary>Payload</summary>
        <pre tabIndex={0}>{typeof payload === 'string' ? payload : JSON.stringify(payload, null, 2)}</pre>
      </details>
      <div class="actions">
        {canReplay && (
          <button type="button" aria-label={`Replay ${id}`} onClick={() => onDecide(letter, 'replay')}>
            Replay
          </button>
        )}
        <ConfirmButton
          label={`Discard ${id}`}
          question="Discard it? It can’t be replayed then."
          onConfirm={() => onDecide(letter, 'discard')}
        >
          Discard
        </ConfirmButton>
      </div>
    </li>
  );
}
