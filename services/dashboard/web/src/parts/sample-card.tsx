import { useState } from 'preact/hooks';
import type { SampleCompletion, SampleMessage, SampleRollout } from '../../../src/api';
import { formatCount, formatNumber } from '../format/numbers';
import { rolloutHref } from '../route';
import { Conversation } from './conversation';
import { TokenDetail, TokenText } from './token-text';

export interface SampleCardProps {
  runId: string;
  sample: SampleRollout;
  /** Whether it leads to a page of its own, which shows conversations. */
  isLinked?: boolean;
}

/** A rollout: its prompt, and what the policy made of it. */
export function SampleCard({ runId, sample, isLinked = true }: SampleCardProps) {
  const { index, version, prompt, completions } = sample;
  const [chosen, setChosen] = useState<{ completion: number; token: number } | null>(null);
  const mean = completions.reduce((sum, { reward }) => sum + reward, 0) / Math.max(1, completions.length);
  const hasTokens = completions.some(({ tokens }) => tokens.length > 0);
  const isConversed = !isLinked && completions.some(({ conversation }) => conversation.length > 0);
  const choices = completions.map((completion, k) => ({
    key: k,
    completion,
    chosen: chosen?.completion === k ? chosen.token : null,
    onChoose: (token: number | null) => setChosen(token === null ? null : { completion: k, token }),
  }));
  return (
    <article class={`card sample ${isConversed ? 'has-conversation' : ''}`} aria-label={`Rollout ${index}`}>
      <header>
        {isLinked && <a href={rolloutHref(runId, index)}>Rollout {formatCount(index)}</a>}
        <span class="muted">version {version}</span>
        <span class="muted">mean reward {formatNumber(mean)}</span>
      </header>
      {!isConversed && <pre class="prompt">{prompt}</pre>}
      <ol class="completions">
        {choices.map((props) => (isConversed ? <Conversed {...props} /> : <Completion {...props} />))}
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

function Completion({ completion, chosen, onChoose }: CompletionProps) {
  return (
    <li>
      <Reward completion={completion} />
      <div>
        <Generated completion={completion} chosen={chosen} onChoose={onChoose} />
        <p class="reward-parts muted">{partsOf(completion)}</p>
      </div>
    </li>
  );
}

/** A completion of several turns: what was said, and below that the tokens. */
function Conversed({ completion, chosen, onChoose }: CompletionProps) {
  const { conversation, end } = completion;
  return (
    <li class="conversed">
      <header>
        <Reward completion={completion} />
        <span class="reward-parts muted">{partsOf(completion)}</span>
        <span class="reward-parts muted">{sizeOf(conversation)}</span>
      </header>
      <Conversation messages={conversation} end={end} />
      <details>
        <summary>Generated tokens</summary>
        <Generated completion={completion} chosen={chosen} onChoose={onChoose} />
      </details>
    </li>
  );
}

function Reward({ completion: { reward } }: { completion: SampleCompletion }) {
  return (
    <span class={`reward ${reward > 0 ? 'is-good' : ''}`} title="Weighted sum of the rewards">
      {formatNumber(reward)}
    </span>
  );
}

function Generated({ completion: { text, tokens }, chosen, onChoose }: CompletionProps) {
  return tokens.length > 0 ? (
    <TokenText tokens={tokens} chosen={chosen} onChoose={onChoose} />
  ) : (
    <pre class="completion-text">{text}</pre>
  );
}

/** Rewards by function. */
function partsOf({ rewards }: SampleCompletion): string {
  return Object.entries(rewards)
    .map(([name, value]) => `${name} ${formatNumber(value)}`)
    .join(' · ');
}

/** Number of turns of the policy, and of parts where there are several. */
function sizeOf(conversation: readonly SampleMessage[]): string {
  const turns = conversation.filter(({ role }) => role === 'assistant').length;
  const parts = 1 + conversation.filter(({ fork }) => fork !== undefined).length;
  return `${turns} ${turns === 1 ? 'turn' : 'turns'}${parts > 1 ? ` in ${parts} parts` : ''}`;
}
