import { formatCount } from '../format/numbers';

/** How far a run is. */
export function StepBar({ step, steps }: { step: number; steps: number }) {
  return (
    <span class="step-bar">
      <span>
        {formatCount(step)} <span class="muted">of {formatCount(steps)}</span>
      </span>
      <span class="track" aria-hidden="true">
        <span class="fill" style={{ width: `${steps > 0 ? Math.min(100, (100 * step) / steps) : 0}%` }} />
      </span>
    </span>
  );
}
