import type { Mark } from '../charts/curve';

/** The meaning of the numbered marks in the curves. */
export function ChangeList({ marks }: { marks: readonly Mark[] }) {
  if (marks.length === 0) return null;
  return (
    <ol class="changes" aria-label="Changes that are marked in the curves">
      {marks.map(({ step, label }) => (
        <li key={step}>
          <span class="muted">step {step}</span> {label}
        </li>
      ))}
    </ol>
  );
}
