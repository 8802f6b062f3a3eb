import type { StepView } from '../../../src/api';

/** How far the step under way is; nothing where that is not known, as between two steps. */
export function CurrentStep({ current }: { current: StepView | null }) {
  if (current === null) return null;
  const { step, share, text } = current;
  const percent = Math.round(100 * share);
  return (
    <div class="current-step">
      <span id="current-step">
        Step {step} <span class="muted">{text}</span>
      </span>
      <span
        class="track"
        role="progressbar"
        aria-labelledby="current-step"
        aria-valuenow={percent}
        aria-valuemin={0}
        aria-valuemax={100}
      >
        <span class="fill" style={{ width: `${percent}%` }} />
      </span>
    </div>
  );
}
