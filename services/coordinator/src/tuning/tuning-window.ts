import type { QualityFloors, StepFigures } from './tuning-rules';

/** Steps and seconds that a window has at least: one step says little, and a report of a service covers a second. */
const STEPS = 6;
const SECONDS = 3;

/** Sums over the steps of a window; shares and means are weighed by the seconds of their step. */
export type TuningWindow = Readonly<{ steps: number } & StepFigures>;

export const NO_STEPS: TuningWindow = {
  steps: 0,
  seconds: 0,
  tokens: 0,
  trainerWaits: 0,
  policiesIdle: 0,
  lag: 0,
  effectiveSampleSize: 0,
  behaviourKl: 0,
  clipFraction: 0,
};

export function withStep(window: TuningWindow, step: StepFigures): TuningWindow {
  const sum = (key: keyof StepFigures): number => window[key] + step[key] * step.seconds;
  return {
    steps: window.steps + 1,
    seconds: window.seconds + step.seconds,
    tokens: window.tokens + step.tokens,
    trainerWaits: sum('trainerWaits'),
    policiesIdle: sum('policiesIdle'),
    lag: sum('lag'),
    effectiveSampleSize: sum('effectiveSampleSize'),
    behaviourKl: sum('behaviourKl'),
    clipFraction: sum('clipFraction'),
  };
}

export const isFull = ({ steps, seconds }: TuningWindow): boolean => steps >= STEPS && seconds >= SECONDS;

/** Tokens per second of a window, and the mean of everything else. */
export type WindowMeans = Omit<StepFigures, 'seconds' | 'tokens'> & { tokensPerSecond: number };

export function meansOf({ steps: _, seconds, tokens, ...sums }: TuningWindow): WindowMeans {
  const mean = (sum: number): number => sum / seconds;
  return {
    tokensPerSecond: tokens / seconds,
    trainerWaits: mean(sums.trainerWaits),
    policiesIdle: mean(sums.policiesIdle),
    lag: mean(sums.lag),
    effectiveSampleSize: mean(sums.effectiveSampleSize),
    behaviourKl: mean(sums.behaviourKl),
    clipFraction: mean(sums.clipFraction),
  };
}

/** Floors that a window has broken, in words; null where it has none. */
export function brokenFloor(
  { effectiveSampleSize, behaviourKl, clipFraction }: WindowMeans,
  floors: QualityFloors,
): string | null {
  const found: string[] = [];
  if (effectiveSampleSize < floors.effectiveSampleSize)
    found.push(`effective sample size ${shown(effectiveSampleSize)} is below ${floors.effectiveSampleSize}`);
  if (behaviourKl > floors.behaviourKl)
    found.push(`KL to the behaviour policy ${shown(behaviourKl)} is above ${floors.behaviourKl}`);
  if (clipFraction > floors.clipFraction)
    found.push(`clipped share ${shown(clipFraction)} is above ${floors.clipFraction}`);
  return found.length === 0 ? null : found.join(', ');
}

/** Three digits, for reasons that people read. */
export const shown = (value: number): string => String(Number(value.toPrecision(3)));
