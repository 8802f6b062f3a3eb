import { useMemo, useState } from 'preact/hooks';
import type { Span } from '../../../src/api';
import { ticksOf, waterfall, type WaterfallRow } from '../charts/waterfall-layout';
import { formatDuration } from '../format/numbers';
import { rolloutHref, stepHref } from '../route';
import { Values } from './values';

/** Behind that share of the scale there is no room for a label. */
const LAST_LABEL = 0.85;

/** A trace: what happened when and where, each span with what is known of it. */
export function Waterfall({ runId, spans }: { runId: string; spans: readonly Span[] }) {
  const { rows, startMs, durationMs } = useMemo(() => waterfall(spans), [spans]);
  const services = [...new Set(rows.map(({ span }) => span.service))];
  return (
    <div class="waterfall">
      <div class="waterfall-scale" aria-hidden="true">
        <div class="waterfall-ticks">
          {ticksOf(durationMs).map((ms) => (
            <span key={ms} style={{ left: `${(100 * ms) / durationMs}%` }}>
              {ms === 0 ? '0' : ms < LAST_LABEL * durationMs && formatDuration(ms)}
            </span>
          ))}
        </div>
      </div>
      <ol>
        {rows.map((row) => (
          <SpanRow
            key={row.span.spanId}
            runId={runId}
            row={row}
            startMs={startMs}
            color={1 + (services.indexOf(row.span.service) % 6)}
          />
        ))}
      </ol>
    </div>
  );
}

interface SpanRowProps {
  runId: string;
  row: WaterfallRow;
  startMs: number;
  color: number;
}

function SpanRow({ runId, row: { span, depth, start, length, events }, startMs, color }: SpanRowProps) {
  const [isOpen, setOpen] = useState(false);
  const { name, service, replica, error } = span;
  return (
    <li class={error === null ? '' : 'is-error'}>
      <button type="button" class="waterfall-row" aria-expanded={isOpen} onClick={() => setOpen(!isOpen)}>
        <span class="waterfall-name" style={{ paddingInlineStart: `${depth * 0.9}rem` }}>
          {error !== null && <span class="bad">✕ </span>}
          {name}
          <span class="muted">
            {' '}
            {service}/{replica}
          </span>
        </span>
        <span class="waterfall-lane" aria-hidden="true">
          <span
            class={`waterfall-bar color-${color}`}
            style={{ left: `${100 * start}%`, width: `${100 * length}%` }}
          />
          {events.map(({ at }, k) => (
            <span key={k} class="waterfall-event" style={{ left: `${100 * at}%` }} />
          ))}
        </span>
        <span class="waterfall-time">{formatDuration(span.endMs - span.startMs)}</span>
      </button>
      {isOpen && <SpanDetails runId={runId} span={span} startMs={startMs} />}
    </li>
  );
}

function SpanDetails({ runId, span, startMs }: { runId: string; span: Span; startMs: number }) {
  const { 'forge.step': step, 'forge.rollout.index': index } = span.attributes;
  return (
    <div class="span-details">
      {span.error !== null && <p class="bad">{span.error}</p>}
      <p class="muted">
        from {formatDuration(span.startMs - startMs)} to {formatDuration(span.endMs - startMs)}
      </p>
      <Values values={span.attributes} />
      <p class="actions">
        {typeof step === 'number' && <a href={stepHref(runId, step)}>Step {step}</a>}
        {typeof index === 'number' && <a href={rolloutHref(runId, index)}>Rollout {index}</a>}
      </p>
      {span.events.length > 0 && (
        <ul class="plain">
          {span.events.map(({ name, atMs, attributes }, k) => (
            <li key={k}>
              {formatDuration(atMs - startMs)} <strong>{name}</strong> <Values values={attributes} />
            </li>
          ))}
        </ul>
      )}
    </div>
  );
}
