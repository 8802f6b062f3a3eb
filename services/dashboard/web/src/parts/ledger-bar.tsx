import type { Ledger } from '../../../src/api';
import { formatCount, formatShare } from '../format/numbers';
import { ledgerSegments } from '../format/ledger-segments';

const MEANINGS: Record<string, string> = {
  trained: 'made a gradient',
  'in a batch': 'taken into a batch that is not committed yet',
  buffered: 'wait in the replay buffer',
  'in flight': 'queued, generated or scored',
};

/** Where every admitted group is, or what became of it: a bar that adds up. */
export function LedgerBar({ ledger }: { ledger: Ledger }) {
  const segments = ledgerSegments(ledger);
  const sum = segments.reduce((total, { count }) => total + count, 0);
  const whole = Math.max(1, ledger.admitted, sum);
  return (
    <div class="ledger">
      <div class="ledger-bar" aria-hidden="true">
        {segments.map(({ name, count, kind }, k) => (
          <span
            key={name}
            class={`segment ${kind} shade-${shadeOf(segments, k)}`}
            style={{ width: `${(100 * count) / whole}%` }}
            title={`${name}: ${formatCount(count)}`}
          />
        ))}
      </div>
      <ul class="ledger-parts">
        {segments.map(({ name, count, kind }, k) => (
          <li key={name} title={MEANINGS[name] ?? `discarded: ${name}`}>
            <span class={`swatch segment ${kind} shade-${shadeOf(segments, k)}`} aria-hidden="true" />
            <span>{kind === 'discarded' ? `discarded, ${name}` : name}</span>
            <span class="number">{formatCount(count)}</span>
            <span class="number muted">{formatShare(count / whole)}</span>
          </li>
        ))}
      </ul>
      <p class={ledger.isBalanced ? 'muted' : 'bad'}>
        {formatCount(ledger.admitted)} groups admitted ={' '}
        {segments.map(({ count }) => formatCount(count)).join(' + ') || '0'}
        {ledger.isBalanced
          ? ': it adds up.'
          : `: it does not add up, ${formatCount(ledger.admitted - sum)} are missing.`}
      </p>
    </div>
  );
}

/** Shade of a segment, by its place among those of its kind. */
const shadeOf = (segments: readonly { kind: string }[], k: number): number =>
  segments.slice(0, k).filter(({ kind }) => kind === segments[k]!.kind).length % 4;
