import { useEffect, useState } from 'preact/hooks';

/** `auto`: as the system says. */
export type Theme = 'auto' | 'light' | 'dark';

const KEY = 'forge-theme';
const CHANGED = 'forge-theme-changed';
const system = matchMedia('(prefers-color-scheme: dark)');

export function theme(): Theme {
  const chosen = stored();
  return chosen === 'light' || chosen === 'dark' ? chosen : 'auto';
}

export function chooseTheme(wanted: Theme): void {
  try {
    localStorage.setItem(KEY, wanted);
  } catch {
    // A browser that keeps nothing: until the page is left.
  }
  applyTheme(wanted);
}

export function applyTheme(wanted: Theme): void {
  document.documentElement.dataset['theme'] = wanted;
  window.dispatchEvent(new Event(CHANGED));
}

/** Follows the choice and the system. */
export function useIsDark(): boolean {
  const [isDark, setDark] = useState(darkNow);
  useEffect(() => {
    const look = (): void => setDark(darkNow());
    system.addEventListener('change', look);
    window.addEventListener(CHANGED, look);
    return () => {
      system.removeEventListener('change', look);
      window.removeEventListener(CHANGED, look);
    };
  }, []);
  return isDark;
}

function darkNow(): boolean {
  const { theme: chosen } = document.documentElement.dataset;
  return chosen === 'dark' || (chosen !== 'light' && system.matches);
}

function stored(): string | null {
  try {
    return localStorage.getItem(KEY);
  } catch {
    return null;
  }
}
