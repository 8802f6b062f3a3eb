import { useEffect, useRef, useState } from 'preact/hooks';
import { keepToken, useToken } from '../data/token';

/** Says whether this page may change runs, and takes the token. */
export function TokenBox() {
  const token = useToken();
  const [isOpen, setOpen] = useState(false);
  const field = useRef<HTMLInputElement>(null);
  useEffect(() => field.current?.focus(), [isOpen]);
  if (token !== null && !isOpen) {
    return (
      <button
        type="button"
        class="quiet"
        title="This page may change runs. Forget the token."
        onClick={() => keepToken(null)}
      >
        <Lock isOpen={true} /> <span class="wide-only">Lock</span>
        <span class="visually-hidden"> (forget the token)</span>
      </button>
    );
  }
  if (!isOpen) {
    return (
      <button
        type="button"
        class="quiet"
        title="Give the token that lets this page change runs"
        onClick={() => setOpen(true)}
      >
        <Lock isOpen={false} /> <span class="wide-only">Unlock</span>
        <span class="visually-hidden"> (give the token)</span>
      </button>
    );
  }
  return <TokenForm onDone={() => setOpen(false)} />;
}

/** Asks for the token. */
export function TokenForm({ onDone }: { onDone?: () => void }) {
  const [text, setText] = useState('');
  return (
    <form
      class="token-form"
      onSubmit={(event) => {
        event.preventDefault();
        if (text.trim() !== '') keepToken(text.trim());
        onDone?.();
      }}
    >
      <label>
        <span class="visually-hidden">Token</span>
        <input
          type="password"
          placeholder="Token"
          autocomplete="off"
          value={text}
          onInput={({ currentTarget }) => setText(currentTarget.value)}
        />
      </label>
      <button type="submit">Use</button>
      {onDone !== undefined && (
        <button type="button" class="quiet" onClick={onDone}>
          Cancel
        </button>
      )}
    </form>
  );
}

function Lock({ isOpen }: { isOpen: boolean }) {
  return (
    <svg viewBox="0 0 16 16" width="14" height="14" aria-hidden="true" class="icon">
      <rect x="3" y="7" width="10" height="7" rx="1.5" fill="currentColor" />
      <path
        d={isOpen ? 'M5 7V4.5a3 3 0 0 1 5.8-1' : 'M5 7V4.5a3 3 0 0 1 6 0V7'}
        fill="none"
        stroke="currentColor"
        stroke-width="1.6"
      />
    </svg>
  );
}
