import type { JobFailure, RunState } from '@forge/broker';
import type { TraceOrigin } from '@forge/contracts';
import { endRollout } from '@forge/telemetry';

/** Characters of a job's id that name its letter. */
const ID_LENGTH = 128;

/**
 * Gives up a job that failed for good, so that the run goes on without it: the admission of its group returns, or its
 * slice of an evaluation as failed and not judged. Its known facts become a dead letter, and the rollout's `trace` ends.
 */
export async function giveUpJob(
  runState: Pick<RunState, 'rejectGroup' | 'deadLetters' | 'emit'>,
  failure: JobFailure,
  trace?: TraceOrigin,
): Promise<void> {
  const { jobId, job, index } = failure;
  if (index !== null) {
    const isGivenUp = await runState.rejectGroup({ index }, 'failed', failure);
    if (isGivenUp)
      endRollout(trace, { 'forge.rollout.index': index, 'forge.rollout.end': 'failed' }, failure);
    return;
  }
  // A slice that no coordinator asked for counts for no evaluation.
  if (job?.kind !== 'evaluation' || failure.reason === 'unknown') {
    await runState.deadLetters.keep(`j-${jobId.slice(0, ID_LENGTH)}`, 'job', failure);
    return;
  }
  const { minVersion: version, part, parts, samples } = job;
  await runState.deadLetters.keep(`e-v${version}-${part}`, 'evaluation', failure);
  const total = samples.length;
  await runState.emit({
    kind: 'evaluation',
    version,
    part,
    parts,
    correct: 0,
    total,
    failed: total,
    unjudged: total,
  });
}
