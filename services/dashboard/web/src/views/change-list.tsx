import type { Mark } from '../charts/curve';

/** What the numbered marks in the curves are. */
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
