import { useId, useState } from 'preact/hooks';
import { formatNumber } from '../format/numbers';

export interface NumberSettingProps {
  title: string;
  about: string;
  /** Null: no bound. */
  current: number | null;
  least: number;
  mayBeEmpty?: boolean;
  onSet: (to: number | null) => void;
}

/** A number that can be changed while the run goes on. */
export function NumberSetting({
  title,
  about,
  current,
  least,
  mayBeEmpty = false,
  onSet,
}: NumberSettingProps) {
  const id = useId();
  const [text, setText] = useState<string | null>(null);
  const shown = text ?? (current === null ? '' : String(current));
  return (
    <form
      class="card setting"
      onSubmit={(event) => {
        event.preventDefault();
        onSet(shown === '' ? null : Number(shown));
        setText(null);
      }}
    >
      <h3>
        <label for={id}>{title}</label>
      </h3>
      <p class="muted">{about}</p>
      <div class="actions">
        <input
          id={id}
          type="number"
          min={least}
          step={1}
          required={!mayBeEmpty}
          placeholder={mayBeEmpty ? 'no bound' : ''}
          value={shown}
          onInput={({ currentTarget }) => setText(currentTarget.value)}
        />
        <button type="submit">Set</button>
        <small class="muted">now {current === null ? 'no bound' : formatNumber(current)}</small>
      </div>
    </form>
  );
}
