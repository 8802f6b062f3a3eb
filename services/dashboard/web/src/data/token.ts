import { useEffect, useState } from 'preact/hooks';

const KEY = 'forge-token';
const CHANGED = 'forge-token-changed';
let current: string | null = stored();

/** The token of the address (`#token=...`), taken out of it; null when it has none. */
export function takeTokenOf(hash: string): string | null {
  const found = /^#\/?token=(.+)$/.exec(hash)?.[1];
  if (found === undefined) return null;
  try {
    return decodeURIComponent(found);
  } catch {
    return found;
  }
}

/** Kept until the tab is closed. */
export function keepToken(token: string | null): void {
  current = token;
  try {
    if (token === null) sessionStorage.removeItem(KEY);
    else sessionStorage.setItem(KEY, token);
  } catch {
    // A browser that keeps nothing: until the page is left.
  }
  window.dispatchEvent(new Event(CHANGED));
}

/** The token that lets this page change runs; null until it is given. */
export function useToken(): string | null {
  const [token, setToken] = useState(current);
  useEffect(() => {
    const look = (): void => setToken(current);
    window.addEventListener(CHANGED, look);
    return () => window.removeEventListener(CHANGED, look);
  }, []);
  return token;
}

function stored(): string | null {
  try {
    return sessionStorage.getItem(KEY);
  } catch {
    return null;
  }
}
