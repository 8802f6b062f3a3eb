import type { StepProgress } from '@forge/contracts';
import { duration } from './duration';

/** A quicker step is over before a person has read how far it is. */
const SLOW_FROM_MS = 3_000;

/** Whether a step is slow enough for people to care how far it is. */
export function isSlowStep({ elapsedMs, expectedMs }: StepProgress): boolean {
  return Math.max(elapsedMs, expectedMs ?? 0) >= SLOW_FROM_MS;
}

/** Progress and time of a step, for people: `training, 3 of 16 micro-batches, 0:42 of about 1:10`. */
export function stepProgressWords(progress: StepProgress): string {
  const { elapsedMs, expectedMs } = progress;
  const expected = expectedMs === null ? '' : ` of about ${duration(expectedMs)}`;
  return [...workWords(progress), `${duration(elapsedMs)}${expected}`].join(', ');
}

function workWords({ stage, groups, tokens, microBatches }: StepProgress): string[] {
  if (stage === 'rollouts')
    return [
      'rollouts',
      `${groups.done} of ${groups.of} groups`,
      `${tokens.done.toLocaleString('en-US')} tokens`,
    ];
  if (microBatches === null) return ['training'];
  const { done, of } = microBatches;
  return ['training', `${done} of ${of} micro-batches`];
}
