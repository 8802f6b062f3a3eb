import { LedgerBar } from '../parts/ledger-bar';
import { DeadLetters } from './dead-letters';
import type { KnownRun } from './known-run';

/** The fate of every group, and of messages that could not be worked on. */
export function LedgerTab({ run }: { run: KnownRun }) {
  const { ledger } = run.view;
  return (
    <>
      <section aria-labelledby="ledger">
        <h2 id="ledger">Ledger</h2>
        <div class="card">
          {ledger === null ? <p class="empty">The ledger is not known.</p> : <LedgerBar ledger={ledger} />}
        </div>
      </section>
      <DeadLetters run={run} />
    </>
  );
}
