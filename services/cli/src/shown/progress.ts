import type { StepProgress, TelemetryEvent } from '@forge/contracts';
import { isSlowStep } from '@forge/runs';

/** One finished held-out evaluation. */
export interface EvaluationPoint {
  version: number;
  accuracy: number;
  /** Share of the samples that were not judged. */
  unjudged: number;
}

/** Facts that a person watching the run needs; built from the telemetry stream alone. */
export interface RunProgress {
  readonly step: number;
  readonly values: Readonly<Record<string, number>>;
  readonly rewards: readonly number[];
  readonly evaluations: readonly EvaluationPoint[];
  /** Latest report per replica, e.g. `policy/0`. */
  readonly services: ReadonlyMap<string, Readonly<Record<string, number>>>;
  /** The first step that was seen to be reported, and when; the time left is estimated from there. */
  readonly paceFrom: { readonly step: number; readonly atMs: number } | null;
  readonly state: string;
  readonly message: string | null;
  /** Settings changed while the run went on, by name. */
  readonly settings: Readonly<Record<string, string>>;
  /** The newest change to the run, in words. */
  readonly change: string | null;
  /** The thing the run waits for, when it has been silent for too long. */
  readonly waitingFor: string | null;
  /** How far the step under way is, and when that was told; null before the first word of it. */
  readonly current: { readonly progress: StepProgress; readonly atMs: number } | null;
  readonly partialEvaluations: ReadonlyMap<
    number,
    { parts: ReadonlySet<number>; correct: number; judged: number; total: number }
  >;
}

export function emptyProgress(): RunProgress {
  return {
    step: 0,
    values: {},
    rewards: [],
    evaluations: [],
    services: new Map(),
    paceFrom: null,
    state: 'starting',
    message: null,
    settings: {},
    change: null,
    waitingFor: null,
    current: null,
    partialEvaluations: new Map(),
  };
}

/** The progress after one telemetry event. `nowMs`: when it was seen; null when it is of before. */
export function advance(progress: RunProgress, event: TelemetryEvent, nowMs: number | null): RunProgress {
  switch (event.kind) {
    case 'step': {
      const reward = event.values['reward/mean'];
      return {
        ...progress,
        step: event.step,
        values: { ...progress.values, ...event.values },
        rewards: reward === undefined ? progress.rewards : [...progress.rewards, reward],
        current: null,
        paceFrom: progress.paceFrom ?? (nowMs === null ? null : { step: event.step, atMs: nowMs }),
      };
    }
    case 'evaluation':
      return addEvaluation(progress, event);
    case 'service':
      return {
        ...progress,
        services: newest(progress.services, `${event.service}/${event.replica}`, event.values),
      };
    case 'run':
      return { ...progress, state: event.state, message: event.message ?? progress.message };
    case 'control': {
      const { operation, name, from, to, reason } = event;
      const settings = operation === 'set' ? { ...progress.settings, [name]: to } : progress.settings;
      return { ...progress, settings, change: changeInWords(operation, name, from, to, reason) };
    }
    case 'waiting':
      return { ...progress, waitingFor: event.for };
    case 'progress':
      if (nowMs === null || event.progress.step <= progress.step) return progress;
      return { ...progress, current: { progress: event.progress, atMs: nowMs } };
    case 'rollout':
    case 'recorded':
      return progress;
  }
}

function changeInWords(operation: string, name: string, from: string, to: string, reason?: string): string {
  const values = from === '' && to === '' ? '' : `: ${from || 'none'} -> ${to || 'none'}`;
  if (operation === 'pause' || operation === 'unpause') return `${name} ${operation}d`;
  return `${operation} ${name}${values}${reason === undefined ? '' : ` (${reason})`}`;
}

/** Replicas and unfinished evaluations that are kept. */
const MOST_KEPT = 256;

/** A copy with the entry as its newest, without the oldest where there are too many. */
function newest<K, V>(entries: ReadonlyMap<K, V>, key: K, value: V): Map<K, V> {
  const copy = new Map(entries);
  copy.delete(key);
  copy.set(key, value);
  const [oldest] = copy.keys();
  if (copy.size > MOST_KEPT && oldest !== undefined) copy.delete(oldest);
  return copy;
}

function addEvaluation(
  progress: RunProgress,
  event: Extract<TelemetryEvent, { kind: 'evaluation' }>,
): RunProgress {
  const partial = progress.partialEvaluations.get(event.version) ?? {
    parts: new Set(),
    correct: 0,
    judged: 0,
    total: 0,
  };
  if (partial.parts.has(event.part)) return progress;
  const grown = {
    parts: new Set([...partial.parts, event.part]),
    correct: partial.correct + event.correct,
    judged: partial.judged + event.total - (event.unjudged ?? 0),
    total: partial.total + event.total,
  };
  const partialEvaluations = new Map(progress.partialEvaluations);
  if (grown.parts.size < event.parts) {
    return { ...progress, partialEvaluations: newest(partialEvaluations, event.version, grown) };
  }
  partialEvaluations.delete(event.version);
  const { correct, judged, total } = grown;
  const point = {
    version: event.version,
    accuracy: correct / Math.max(1, judged),
    unjudged: 1 - judged / Math.max(1, total),
  };
  return { ...progress, partialEvaluations, evaluations: [...progress.evaluations, point] };
}

/** Milliseconds until the last step at the pace so far, or null before there is a pace. */
export function timeLeftMs({ paceFrom, step }: RunProgress, steps: number, nowMs: number): number | null {
  if (paceFrom === null || step <= paceFrom.step) return null;
  const perStep = (nowMs - paceFrom.atMs) / (step - paceFrom.step);
  return Math.max(0, steps - step) * perStep;
}

/** How far the step under way is now; null where it is quick, or the run stops. */
export function stepUnderWay({ current, state }: RunProgress, nowMs: number): StepProgress | null {
  if (current === null || state !== 'running') return null;
  const { progress, atMs } = current;
  const elapsedMs = progress.elapsedMs + Math.max(0, nowMs - atMs);
  const expectedMs = progress.expectedMs === null ? null : Math.max(progress.expectedMs, elapsedMs);
  const now = { ...progress, elapsedMs, expectedMs };
  return isSlowStep(now) ? now : null;
}

/** Share of the last report interval in which a service was busy, the mean over its replicas. */
export function busyShare({ services }: RunProgress, service: string): number | undefined {
  const shares = reportsOf(services, service).map(
    ({ busyMs = 0, intervalMs = Infinity }) => busyMs / intervalMs,
  );
  return shares.length === 0 ? undefined : shares.reduce((a, b) => a + b, 0) / shares.length;
}

/** Tokens all policies together generated per second of the last report interval. */
export function generatedPerSecond({ services }: RunProgress): number | undefined {
  const rates = reportsOf(services, 'policy').map(
    ({ tokens = 0, intervalMs = Infinity }) => (1000 * tokens) / intervalMs,
  );
  return rates.length === 0 ? undefined : rates.reduce((a, b) => a + b, 0);
}

function reportsOf(services: RunProgress['services'], service: string): Readonly<Record<string, number>>[] {
  return [...services].filter(([replica]) => replica.startsWith(`${service}/`)).map(([, values]) => values);
}
