import type { RefObject } from 'preact';
import { useEffect, useState } from 'preact/hooks';

/** Whether an element can be seen, or nearly; at first, until that is known. */
export function useIsVisible(element: RefObject<Element | null>): boolean {
  const [isVisible, setVisible] = useState(true);
  useEffect(() => {
    if (element.current === null) return;
    const look = new IntersectionObserver(([entry]) => setVisible(entry?.isIntersecting ?? true), {
      rootMargin: '200px',
    });
    look.observe(element.current);
    return () => look.disconnect();
  }, [element]);
  return isVisible;
}
