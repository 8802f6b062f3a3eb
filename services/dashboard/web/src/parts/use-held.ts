import { useState } from 'preact/hooks';

export interface Held<T> {
  value: T;
  isHeld: boolean;
  /** Holds still, or follows again. */
  hold: (isWanted: boolean) => void;
  /** Handlers of the element that holds still while it is pointed at or read by keyboard: a target doesn't move away. */
  handlers: Record<'onMouseEnter' | 'onMouseLeave' | 'onFocusIn' | 'onFocusOut', () => void>;
}

/** The newest value, or the one that was there when it was held. */
export function useHeld<T>(coming: T): Held<T> {
  const [chosen, setChosen] = useState<{ value: T } | null>(null);
  const [touched, setTouched] = useState<{ value: T } | null>(null);
  const held = chosen ?? touched;
  const touch = (): void => setTouched((old) => old ?? { value: coming });
  const leave = (): void => setTouched(null);
  return {
    value: held === null ? coming : held.value,
    isHeld: chosen !== null,
    hold: (isWanted) => setChosen(isWanted ? { value: held?.value ?? coming } : null),
    handlers: { onMouseEnter: touch, onMouseLeave: leave, onFocusIn: touch, onFocusOut: leave },
  };
}
