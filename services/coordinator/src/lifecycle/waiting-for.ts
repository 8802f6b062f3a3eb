import type { RunSituation } from './run-situation';

/**
 * What has to happen before a run can go on: the stage its work has come to, and the service that is to do it or is
 * missing. Null situation: Redis did not say where the run stands.
 */
export function waitingFor(situation: RunSituation | null): string {
  if (situation === null) return 'Redis, which does not answer';
  const { phase, version, nextBatch, ledger, candidatesPerBatch, jobs, held, isModelSaved } = situation;
  const { inFlight, buffered } = ledger;
  const isMissing = (service: string): boolean =>
    situation.services.includes(service) && (situation.ready[service] ?? 0) === 0;
  const missing = (service: string, why: string): string => `a ${service} to be ready: ${why}`;

  if (phase !== 'running' && !isModelSaved)
    return isMissing('trainer')
      ? missing('trainer', 'the model is to be saved')
      : 'the trainer to save the model';
  if (phase === 'running' && nextBatch > version)
    return isMissing('trainer')
      ? missing('trainer', `batch ${version} is formed`)
      : `the trainer to train and commit batch ${version}`;
  if (phase === 'running' && buffered >= candidatesPerBatch)
    return isMissing('replay-buffer')
      ? missing('replay-buffer', `there are ${buffered} groups for batch ${version}`)
      : `the replay-buffer to form batch ${version} of ${buffered} groups`;

  const queued = jobs.waiting + jobs.active + jobs.delayed;
  if (queued > 0) {
    const work = `${queued} jobs are queued or under way`;
    const [gone] = ['policy', 'reward', 'reference'].filter(isMissing);
    if (gone !== undefined) return missing(gone, work);
    if (jobs.active > 0) return `the policies to finish ${jobs.active} jobs; ${jobs.waiting} more are queued`;
    if (jobs.waiting > 0) return `a policy to take one of ${jobs.waiting} queued jobs`;
    return `${jobs.delayed} jobs that failed to be tried again`;
  }
  if (phase !== 'running' || held > 0) return `the evaluation of version ${version}`;
  if (inFlight > 0)
    return isMissing('replay-buffer')
      ? missing('replay-buffer', `${inFlight} groups are in flight`)
      : `${inFlight} groups in flight to reach the replay-buffer; batch ${version} has ${buffered} of ${candidatesPerBatch}`;
  if (situation.isPaused) return 'forge unpause: admission is paused';
  return `groups to be admitted; batch ${version} has ${buffered} of ${candidatesPerBatch}`;
}
