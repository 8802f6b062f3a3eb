import type { StepProgress } from '@forge/contracts';
import { duration } from './duration';

/** What a step is at and how long it takes, for people: `training, 3 of 16 micro-batches, 0:42 of about 1:10`. */
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
