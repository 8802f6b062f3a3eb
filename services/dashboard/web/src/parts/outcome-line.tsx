import type { Outcome } from '../data/use-action';

/** Says what came of a change. */
export function OutcomeLine({ outcome }: { outcome: Outcome | null }) {
  return (
    <p class={`outcome ${outcome === null ? '' : outcome.isGood ? 'good' : 'bad'}`} role="status">
      {outcome?.text ?? ''}
    </p>
  );
}
