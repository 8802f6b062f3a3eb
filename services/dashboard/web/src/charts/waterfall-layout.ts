import type { Span } from '../../../src/api';

/** A span as a bar: places and lengths are shares of the whole. */
export interface WaterfallRow {
  span: Span;
  depth: number;
  start: number;
  length: number;
  /** Where its events are. */
  events: readonly { name: string; at: number }[];
}

export interface Waterfall {
  startMs: number;
  durationMs: number;
  rows: readonly WaterfallRow[];
}

/** Spans below their parents by start; one whose parent is not there is a root. Clocks that differ are shown as they are. */
export function waterfall(spans: readonly Span[]): Waterfall {
  if (spans.length === 0) return { startMs: 0, durationMs: 0, rows: [] };
  const startMs = spans.reduce((least, span) => Math.min(least, span.startMs), Infinity);
  const endMs = spans.reduce((most, span) => Math.max(most, span.endMs), -Infinity);
  const durationMs = Math.max(endMs - startMs, 0.001);
  const known = new Set(spans.map(({ spanId }) => spanId));
  const children = new Map<string | null, Span[]>();
  for (const span of spans) {
    const parent = span.parentId !== null && known.has(span.parentId) ? span.parentId : null;
    children.set(parent, [...(children.get(parent) ?? []), span]);
  }
  const rows: WaterfallRow[] = [];
  const shown = new Set<string>();
  const add = (parent: string | null, depth: number): void => {
    const below = [...(children.get(parent) ?? [])].sort(
      (a, b) => a.startMs - b.startMs || b.endMs - a.endMs,
    );
    for (const span of below) {
      if (shown.has(span.spanId)) continue;
      shown.add(span.spanId);
      rows.push({
        span,
        depth,
        start: (span.startMs - startMs) / durationMs,
        length: (span.endMs - span.startMs) / durationMs,
        events: span.events.map(({ name, atMs }) => ({ name, at: (atMs - startMs) / durationMs })),
      });
      add(span.spanId, depth + 1);
    }
  };
  add(null, 0);
  return { startMs, durationMs, rows };
}

/** Round times at which the scale is marked, in ms from its start: five or so. */
export function ticksOf(durationMs: number): number[] {
  if (durationMs <= 0) return [];
  const rough = durationMs / 5;
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = ([1, 2, 5, 10].find((factor) => factor * power >= rough) ?? 10) * power;
  return Array.from({ length: Math.floor(durationMs / step + 1e-9) + 1 }, (_, k) => k * step);
}
