import type { SampleToken } from '../../../src/api';
import { levelOf } from '../format/logprob-level';
import { formatNumber, formatShare } from '../format/numbers';

export interface TokenTextProps {
  tokens: readonly SampleToken[];
  /** Place of the token that is told about; null: no token of this completion. */
  chosen: number | null;
  onChoose: (at: number | null) => void;
}

/** The tokens of a completion, the more coloured the less likely they were; arrow keys go from one to the next. */
export function TokenText({ tokens, chosen, onChoose }: TokenTextProps) {
  const move = (event: KeyboardEvent): void => {
    const by = { ArrowLeft: -1, ArrowRight: 1, Home: -tokens.length, End: tokens.length }[event.key];
    if (by === undefined) return;
    event.preventDefault();
    onChoose(Math.max(0, Math.min(tokens.length - 1, (chosen ?? 0) + by)));
  };
  return (
    <div
      class="tokens"
      role="application"
      aria-label={`${tokens.map(({ text }) => text).join('')}: ${tokens.length} tokens; arrow keys read them one by one`}
      tabIndex={0}
      onKeyDown={move}
      onFocus={() => onChoose(chosen ?? 0)}
      onBlur={() => onChoose(null)}
      onMouseLeave={() => onChoose(null)}
    >
      {tokens.map((token, k) => (
        <span key={k} class={classOf(token, tokens[k - 1], k === chosen)} onMouseEnter={() => onChoose(k)}>
          {visible(token.text)}
        </span>
      ))}
    </div>
  );
}

/** The facts about a token. */
export function TokenDetail({ token }: { token: SampleToken | undefined }) {
  return (
    <p class="token-detail" aria-live="polite">
      {token !== undefined && (
        <>
          <code class={`token level-${levelOf(token.logprob)}`}>{visible(token.text)}</code> log-prob{' '}
          {formatNumber(token.logprob)} nats, probability {formatShare(Math.exp(token.logprob))}, version{' '}
          {token.version}
        </>
      )}
    </p>
  );
}

/** The meaning of the colours. */
export function TokenLegend() {
  return (
    <p class="token-legend muted">
      <span>Probability of a token</span>
      <span>
        {['≥ 90 %', '50 %', '20 %', '5 %', '1 %', 'less'].map((text, level) => (
          <span key={text} class={`token level-${level}`}>
            {text}
          </span>
        ))}
      </span>
      <span class="token is-switch">first of another version</span>
    </p>
  );
}

function classOf(token: SampleToken, before: SampleToken | undefined, isChosen: boolean): string {
  const isSwitch = before !== undefined && before.version !== token.version;
  return `token level-${levelOf(token.logprob)}${isChosen ? ' is-chosen' : ''}${isSwitch ? ' is-switch' : ''}`;
}

/** Blanks that can be seen. */
const visible = (text: string): string =>
  text.replaceAll('\n', '⏎').replaceAll('\t', '⇥').replaceAll(' ', '\u00b7') || '∅';
