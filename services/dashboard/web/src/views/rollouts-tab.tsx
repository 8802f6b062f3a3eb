import { useState } from 'preact/hooks';
import { useHeld } from '../parts/use-held';
import { SampleCard } from '../parts/sample-card';
import { TokenLegend } from '../parts/token-text';
import { rolloutHref } from '../route';
import type { KnownRun } from './known-run';

const SHOWN = 20;

/** Rollouts as they come, and any one by its index. */
export function RolloutsTab({ run: { view, samples } }: { run: KnownRun }) {
  const { id } = view.run;
  const held = useHeld(samples);
  const [index, setIndex] = useState('');
  const shown = held.value.slice(0, SHOWN);
  return (
    <section aria-labelledby="rollouts">
      <div class="title-row">
        <h2 id="rollouts">Sample rollouts</h2>
        <div class="actions">
          {view.run.state === 'running' && (
            <button type="button" aria-pressed={held.isHeld} onClick={() => held.hold(!held.isHeld)}>
              {held.isHeld ? 'Follow again' : 'Hold still'}
            </button>
          )}
          <form
            class="inline-form"
            onSubmit={(event) => {
              event.preventDefault();
              if (index !== '') location.hash = rolloutHref(id, Number(index));
            }}
          >
            <label>
              <span class="visually-hidden">Index of a rollout</span>
              <input
                type="number"
                min={0}
                step={1}
                placeholder="Index"
                value={index}
                onInput={({ currentTarget }) => setIndex(currentTarget.value)}
              />
            </label>
            <button type="submit">Open rollout</button>
          </form>
        </div>
      </div>
      <TokenLegend />
      {shown.length === 0 && (
        <p class="empty">No rollout is kept yet: output.sampleRollouts of each batch are.</p>
      )}
      <div class="samples" {...held.handlers}>
        {shown.map((sample) => (
          <SampleCard key={sample.index} runId={id} sample={sample} />
        ))}
      </div>
    </section>
  );
}
