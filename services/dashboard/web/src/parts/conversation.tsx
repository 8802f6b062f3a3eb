import type { SampleMessage } from '../../../src/api';
import { formatNumber } from '../format/numbers';
import { toolArguments } from '../format/tool-arguments';

export interface ConversationProps {
  messages: readonly SampleMessage[];
  /** Why it was cut off; null where it came to its end. */
  end: string | null;
}

const SPEAKERS = {
  system: 'System',
  user: 'User',
  assistant: 'Policy',
  tool: 'Tool',
  agent: 'Standard error of the agent',
} as const;

const ENDS: Readonly<Record<string, string>> = {
  turns: 'it had as many turns as it may have',
  tokens: 'it had as many tokens as it may have',
  context: 'there was no room left in the context',
  time: 'its time was up',
};

/** Words for the reasons that are not plain from their names. */
const FORKS: Readonly<Record<string, string>> = {
  'template-drops-thinking': 'the chat template leaves out earlier thinking',
  'template-rewrites-history': 'the chat template writes earlier messages in another way now',
  'template-depends-on-answer': 'what the chat template writes behind an answer depends on it',
  'no-turn-end': 'the chat template ends no answer by a token',
  'other-turn-end': 'the answer ended by another token than the chat template’s',
  'tokens-merge': 'the text behind the answer makes other tokens there',
  'messages-changed': 'the agent changed earlier messages',
};

/** A rollout of several turns, as it was said. */
export function Conversation({ messages, end }: ConversationProps) {
  return (
    <ol class="conversation">
      {messages.map((message, k) => (
        <Message key={k} message={message} />
      ))}
      {end !== null && (
        <li class="break is-end">
          <span>Cut off: {ENDS[end] ?? end}</span>
        </li>
      )}
    </ol>
  );
}

function Message({ message }: { message: SampleMessage }) {
  const { role, text, reasoning, toolCalls = [], name, reward, fork } = message;
  return (
    <>
      {fork !== undefined && (
        <li class="break is-fork">
          <span>New part: {FORKS[fork] ?? fork}</span>
        </li>
      )}
      <li class={`message from-${role}`}>
        <header>
          <span class="speaker">
            {SPEAKERS[role]}
            {name !== undefined && <code> {name}</code>}
          </span>
          {reward !== undefined && (
            <span class={`turn-reward ${reward > 0 ? 'is-good' : ''}`} title="Reward of this turn">
              {reward > 0 ? '+' : ''}
              {formatNumber(reward)}
            </span>
          )}
        </header>
        {reasoning !== undefined && reasoning !== '' && (
          <details class="reasoning">
            <summary>Thoughts</summary>
            <p class="said">{reasoning}</p>
          </details>
        )}
        {text !== '' && <p class="said">{text}</p>}
        {toolCalls.map((call, k) => (
          <ToolCall key={k} name={call.name} json={call.arguments} />
        ))}
      </li>
    </>
  );
}

function ToolCall({ name, json }: { name: string; json: string }) {
  const given = toolArguments(json);
  return (
    <div class="tool-call">
      <p>
        Calls <code>{name}</code>
      </p>
      {given === null ? (
        <pre>{json}</pre>
      ) : (
        <dl>
          {given.map(([argument, value]) => (
            <div key={argument}>
              <dt>{argument}</dt>
              <dd>
                <code>{value}</code>
              </dd>
            </div>
          ))}
        </dl>
      )}
    </div>
  );
}
