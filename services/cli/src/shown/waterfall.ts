import type { RecordedSpan, SpanAttributes } from '@forge/telemetry';

const BAR_CELLS = 32;
/** Attributes and events worth a place in a line, by how they are shown. */
const SHOWN: Readonly<Record<string, string>> = {
  'forge.attempt': 'attempt',
  'forge.policy.version.min': 'for versions from',
  'forge.policy.version.oldest': 'version',
  'forge.policy.version': 'version',
  'gen_ai.usage.output_tokens': 'tokens',
  'forge.tokens': 'tokens',
  'forge.completions': 'completions',
  'forge.completions.failed': 'failed',
  'forge.publish.result': '',
  'forge.reward.mean': 'reward',
  'forge.lag': 'lag',
  'forge.groups': 'groups',
  'forge.rollout.end': '',
  'forge.buffer.left': '',
  'forge.step': 'step',
  'forge.rollout.replay_of': 'replays',
  'forge.kept': 'kept:',
};

interface Line {
  span: RecordedSpan;
  depth: number;
}

/** An attempt of which nothing is known but that it began: its process died before it could say more. */
interface Loss {
  attempt: number;
  /** Null when not even its pick-up was told. */
  pickedUp: RecordedSpan | null;
}

/**
 * The spans of a trace as a waterfall: who did what, when, counted from the first start, and for how long. Events follow
 * their span. An attempt that died is told from what the pick-ups say.
 */
export function renderWaterfall(spans: readonly RecordedSpan[]): string[] {
  const from = Math.min(...spans.map(({ startMs }) => startMs));
  const to = Math.max(...spans.map(({ endMs }) => endMs));
  const lines = inTreeOrder(spans);
  const width = Math.max(...lines.map(({ span, depth }) => 2 * depth + span.name.length));
  const who = Math.max(...spans.map((span) => whoOf(span).length));
  const scale = BAR_CELLS / Math.max(to - from, 0.001);
  const bar = (startMs: number, endMs: number): string => {
    const before = Math.min(BAR_CELLS - 1, Math.floor((startMs - from) * scale));
    const cells = Math.max(1, Math.min(BAR_CELLS - before, Math.round((endMs - startMs) * scale)));
    const mark = endMs === startMs ? '◆' : '█'.repeat(cells);
    return `${' '.repeat(before)}${mark}`.padEnd(BAR_CELLS);
  };
  const row = (name: string, by: string, atMs: number, took: string, marks: string, note: string): string =>
    [name.padEnd(width), by.padEnd(who), ms(atMs - from).padStart(10), took.padStart(10), `|${marks}|`, note]
      .join('  ')
      .trimEnd();
  const lost = lostAttempts(spans);
  const blank = ' '.repeat(BAR_CELLS);
  return lines
    .flatMap(({ span, depth }) => {
      const { name, startMs, endMs, events } = span;
      const indent = '  '.repeat(depth);
      const shown = row(
        indent + name,
        whoOf(span),
        startMs,
        ms(endMs - startMs),
        bar(startMs, endMs),
        noteOf(span),
      );
      const after = lost.filter(({ pickedUp }) => pickedUp === span);
      return [
        shown,
        ...events.map(({ name, atMs, attributes }) =>
          row(`${indent}  · ${name}`, '', atMs, '', blank, valuesOf(attributes)),
        ),
        ...after.map(({ attempt }) =>
          row(
            `${indent}attempt`,
            whoOf(span),
            endMs,
            '?',
            bar(endMs, endMs),
            `attempt ${attempt}  ended without a word`,
          ),
        ),
      ];
    })
    .concat(
      lost.flatMap(({ attempt, pickedUp }) =>
        pickedUp === null ? [`attempt ${attempt} ended without a word, before it could say who made it`] : [],
      ),
    )
    .map((line) => line.replaceAll(/\p{Cc}/gu, '?'));
}

/** Parents before their children, in the order of their starts; those whose parent is not there (yet) on top. */
function inTreeOrder(spans: readonly RecordedSpan[]): Line[] {
  const known = new Set(spans.map(({ spanId }) => spanId));
  const below = (parentId: string | null, depth: number): Line[] =>
    spans
      .filter((span) => (parentId === null ? !known.has(span.parentId ?? '') : span.parentId === parentId))
      .flatMap((span) => [{ span, depth }, ...below(span.spanId, depth + 1)]);
  return below(null, 0);
}

function lostAttempts(spans: readonly RecordedSpan[]): Loss[] {
  const attemptsOf = (name: string): Map<number, RecordedSpan> =>
    new Map(
      spans.flatMap((span) => (span.name === name ? [[Number(span.attributes['forge.attempt']), span]] : [])),
    );
  const [pickedUp, told] = [attemptsOf('queue'), attemptsOf('attempt')];
  const last = Math.max(0, ...pickedUp.keys(), ...told.keys());
  return Array.from({ length: last }, (_, k) => k + 1)
    .filter((attempt) => !told.has(attempt))
    .map((attempt) => ({ attempt, pickedUp: pickedUp.get(attempt) ?? null }));
}

function whoOf({ service, replica }: RecordedSpan): string {
  return `${service}/${replica}`;
}

function noteOf({ attributes, error, links }: RecordedSpan): string {
  const shown = Object.entries(SHOWN).flatMap(([key, as]) => {
    const value = attributes[key];
    return value === undefined ? [] : [`${as} ${text(value)}`.trim()];
  });
  const rollouts = links.flatMap((link) => link.attributes['forge.rollout.index'] ?? []);
  if (rollouts.length > 0) shown.push(`of rollouts ${rollouts.map(text).join(' ')}`);
  if (error !== null) shown.push(`FAILED ${text(attributes['error.type'] ?? '')}: ${error}`);
  return shown.join('  ');
}

function valuesOf(attributes: SpanAttributes): string {
  return Object.entries(attributes)
    .map(([key, value]) => `${key} ${text(value)}`)
    .join('  ');
}

function text(value: unknown): string {
  return typeof value === 'number' && !Number.isInteger(value) ? value.toPrecision(3) : String(value);
}

function ms(value: number): string {
  return value >= 10_000 ? `${(value / 1000).toFixed(1)} s` : `${value.toFixed(1)} ms`;
}
