import type { RunStatus } from '../../../src/api';

const SIGNS: Record<RunStatus, string> = { running: '●', finished: '✓', interrupted: '❚❚', failed: '✕' };

/** A state by colour, sign and word. */
export function StateBadge({ state, isPaused = false }: { state: RunStatus; isPaused?: boolean }) {
  return (
    <span class={`badge state-${isPaused ? 'paused' : state}`}>
      <span aria-hidden="true">{isPaused ? '❚❚' : SIGNS[state]}</span> {isPaused ? 'paused' : state}
    </span>
  );
}
