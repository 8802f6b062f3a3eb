import type { ComponentChildren } from 'preact';
import { useEffect, useRef, useState } from 'preact/hooks';

export interface ConfirmButtonProps {
  /** Its effect, as a question. */
  question: string;
  label: string;
  onConfirm: () => void;
  children: ComponentChildren;
}

/** A button for what can't be taken back: it asks first. */
export function ConfirmButton({ question, label, onConfirm, children }: ConfirmButtonProps) {
  const [isAsking, setAsking] = useState(false);
  const dialog = useRef<HTMLDialogElement>(null);
  useEffect(() => {
    if (isAsking) dialog.current?.showModal();
  }, [isAsking]);
  const answer = (isYes: boolean): void => {
    dialog.current?.close();
    if (isYes) onConfirm();
  };
  return (
    <>
      <button type="button" aria-label={label} onClick={() => setAsking(true)}>
        {children}
      </button>
      {isAsking && (
        <dialog ref={dialog} aria-label={label} onClose={() => setAsking(false)}>
          <p>{question}</p>
          <div class="actions">
            <button type="button" class="primary" onClick={() => answer(true)}>
              {label}
            </button>
            <button type="button" onClick={() => answer(false)}>
              Cancel
            </button>
          </div>
        </dialog>
      )}
    </>
  );
}
