import { useState } from 'preact/hooks';
import type { SampleCompletion, SampleRollout } from '../../../src/api';
import { formatCount, formatNumber } from '../format/numbers';
import { rolloutHref } from '../route';
import { TokenDetail, TokenText } from './token-text';

export interface SampleCardProps {
  runId: string;
  sample: SampleRollout;
  /** Whether it leads to a page of its own. */
  isLinked?: boolean;
}

/** A rollout: its prompt, and what the policy made of it. */
export function SampleCard({ runId, sample, isLinked = true }: SampleCardProps) {
  const { index, version, prompt, completions } = sample;
  const [chosen, setChosen] = useState<{ completion: number; token: number } | null>(null);
  const mean = completions.reduce((sum, { reward }) => sum + reward, 0) / Math.max(1, completions.length);
  const hasTokens = completions.some(({ tokens }) => tokens.length > 0);
  return (
    <article class="card sample" aria-label={`Rollout ${index}`}>
      <header>
        {isLinked && <a href={rolloutHref(runId, index)}>Rollout {formatCount(index)}</a>}
        <span class="muted">version {version}</span>
        <span class="muted">mean reward {formatNumber(mean)}</span>
      </header>
      <pre class="prompt">{prompt}</pre>
      <ol class="completions">
        {completions.map((completion, k) => (
          <Completion
            key={k}
            completion={completion}
            chosen={chosen?.completion === k ? chosen.token : null}
            onChoose={(token) => setChosen(token === null ? null : { completion: k, token })}
          />
        ))}
      </ol>
      {hasTokens && (
        <TokenDetail
          token={chosen === null ? undefined : completions[chosen.completion]?.tokens[chosen.token]}
        />
      )}
    </article>
  );
}

interface CompletionProps {
  completion: SampleCompletion;
  chosen: number | null;
  onChoose: (token: number | null) => void;
}

function Completion({ completion: { text, reward, rewards, tokens }, chosen, onChoose }: CompletionProps) {
  return (
    <li>
      <span class={`reward ${reward > 0 ? 'is-good' : ''}`} title="Weighted sum of the rewards">
        {formatNumber(reward)}
      </span>
      <div>
        {tokens.length > 0 ? (
          <TokenText tokens={tokens} chosen={chosen} onChoose={onChoose} />
        ) : (
          <pre class="completion-text">{text}</pre>
        )}
        <p class="reward-parts muted">
          {Object.entries(rewards)
            .map(([name, value]) => `${name} ${formatNumber(value)}`)
            .join(' · ')}
        </p>
      </div>
    </li>
  );
}
