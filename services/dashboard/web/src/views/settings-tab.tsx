import { useState } from 'preact/hooks';
import { flatSettings } from '../format/differing-settings';
import type { KnownRun } from './known-run';

/** The resolved recipe, part by part. */
export function SettingsTab({ run: { view } }: { run: KnownRun }) {
  const [wanted, setWanted] = useState('');
  const all = [...flatSettings(view.config)];
  const shown = all.filter(([path]) => path.toLowerCase().includes(wanted.toLowerCase()));
  const parts = new Map<string, [string, string][]>();
  for (const [path, value] of shown) {
    const dot = path.indexOf('.');
    const part = dot === -1 ? '' : path.slice(0, dot);
    parts.set(part, [...(parts.get(part) ?? []), [path.slice(dot + 1), value]]);
  }
  return (
    <section aria-labelledby="settings">
      <div class="title-row">
        <h2 id="settings">Settings</h2>
        <label>
          <span class="visually-hidden">Find a setting</span>
          <input
            type="search"
            placeholder="Find"
            value={wanted}
            onInput={({ currentTarget }) => setWanted(currentTarget.value)}
          />
        </label>
      </div>
      {all.length === 0 && (
        <p class="empty">Its recipe was written by another version of Forge, and can’t be read.</p>
      )}
      <div class="setting-parts">
        {[...parts].map(([part, settings]) => (
          <section key={part} class="card" aria-label={part || 'The run'}>
            <h3>{part || 'run'}</h3>
            <dl class="values lines">
              {settings.map(([path, value]) => (
                <div key={path}>
                  <dt>{path}</dt>
                  <dd>{value}</dd>
                </div>
              ))}
            </dl>
          </section>
        ))}
      </div>
    </section>
  );
}
