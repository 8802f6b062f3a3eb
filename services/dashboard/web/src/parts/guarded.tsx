import type { ComponentChildren } from 'preact';
import { useToken } from '../data/token';
import { TokenForm } from './token-box';

export interface GuardedProps {
  /** Names what can be changed. */
  legend: string;
  /** Reason why nothing can be changed. */
  barred?: string | null;
  isBusy?: boolean;
  children: ComponentChildren;
}

/** Controls that need the token: without it they are shown, and it is asked for. */
export function Guarded({ legend, barred = null, isBusy = false, children }: GuardedProps) {
  const token = useToken();
  return (
    <>
      {barred !== null && <p class="note">{barred}</p>}
      {barred === null && token === null && (
        <div class="note">
          <p>
            Changes need the token. It is in the address that was printed at the start (<code>#token=…</code>
            ).
          </p>
          <TokenForm />
        </div>
      )}
      <fieldset class="guarded" disabled={token === null || barred !== null || isBusy}>
        <legend class="visually-hidden">{legend}</legend>
        {children}
      </fieldset>
    </>
  );
}
