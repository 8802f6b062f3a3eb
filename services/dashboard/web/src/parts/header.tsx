import { useState } from 'preact/hooks';
import { TokenBox } from './token-box';
import { chooseTheme, theme, type Theme } from './theme';

const THEMES: readonly { value: Theme; name: string }[] = [
  { value: 'auto', name: 'Auto' },
  { value: 'light', name: 'Light' },
  { value: 'dark', name: 'Dark' },
];

export function Header() {
  return (
    <header class="page-header">
      <a class="wordmark" href="#/">
        <svg viewBox="0 0 32 32" width="20" height="20" aria-hidden="true">
          <rect width="32" height="32" rx="7" fill="currentColor" />
          <path d="M6 23 12 17 17 20 26 8" class="wordmark-line" />
        </svg>
        Forge
      </a>
      <nav aria-label="Page">
        <a href="#/">Runs</a>
        <a href="/queues">Queues</a>
      </nav>
      <div class="page-tools">
        <TokenBox />
        <ThemeSwitch />
      </div>
    </header>
  );
}

function ThemeSwitch() {
  const [chosen, setChosen] = useState(theme);
  return (
    <label class="theme-switch">
      <span class="visually-hidden">Colours</span>
      <select
        value={chosen}
        onChange={({ currentTarget }) => {
          const wanted = currentTarget.value as Theme;
          chooseTheme(wanted);
          setChosen(wanted);
        }}
      >
        {THEMES.map(({ value, name }) => (
          <option key={value} value={value}>
            {name}
          </option>
        ))}
      </select>
    </label>
  );
}
