import { useEffect, useState } from 'preact/hooks';

const narrow = matchMedia('(max-width: 760px)');

/** Whether this is a phone, or as narrow as one. */
export function useIsNarrow(): boolean {
  const [isNarrow, setNarrow] = useState(narrow.matches);
  useEffect(() => {
    const look = (): void => setNarrow(narrow.matches);
    narrow.addEventListener('change', look);
    return () => narrow.removeEventListener('change', look);
  }, []);
  return isNarrow;
}
