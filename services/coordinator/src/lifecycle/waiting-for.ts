import type { RunSituation } from './run-situation';

/** Something a run waits for. */
export interface Wait {
  /** The stage its work has come to, and the service that is to do it or is missing, in words. */
  for: string;
  /** The services that are to do it are there: it may just take them long. */
  isAtWork: boolean;
}

/** The thing that has to happen before a run can go on. Null situation: Redis did not say where the run stands. */
export function waitingFor(situation: RunSituation | null): Wait {
  if (situation === null) return stalled('Redis, which does not answer');
  const { phase, version, nextBatch, ledger, candidatesPerBatch, jobs, held, isModelSaved } = situation;
  const { inFlight, buffered } = ledger;
  const isMissing = (service: string): boolean =>
    situation.services.includes(service) && (situation.ready[service] ?? 0) === 0;
  const by = (service: string, what: string, missingFor: string): Wait =>
    isMissing(service) ? stalled(`a ${service} to be ready: ${missingFor}`) : atWork(what);

  if (phase !== 'running' && !isModelSaved)
    return by('trainer', 'the trainer to save the model', 'the model is to be saved');
  if (phase === 'running' && nextBatch > version)
    return by('trainer', `the trainer to train and commit batch ${version}`, `batch ${version} is formed`);
  const isFull = phase === 'running' && buffered >= candidatesPerBatch;
  // A batch that is not formed though it could be waits for groups that the next one would be too late for.
  if (isFull && (jobs.active === 0 || isMissing('replay-buffer')))
    return by(
      'replay-buffer',
      `the replay-buffer to form batch ${version} of ${buffered} groups`,
      `there are ${buffered} groups for batch ${version}`,
    );

  const queued = jobs.waiting + jobs.active + jobs.delayed;
  if (queued > 0) {
    const [gone] = ['policy', 'reward', 'reference', 'gateway'].filter(isMissing);
    if (gone !== undefined) return stalled(`a ${gone} to be ready: ${queued} jobs are queued or under way`);
    if (jobs.active > 0)
      return atWork(
        `${whoRollsOut(situation)} to finish ${jobs.active} jobs; ${jobs.waiting} more are queued`,
      );
    if (jobs.waiting > 0) return stalled(`a policy to take one of ${jobs.waiting} queued jobs`);
    return stalled(`${jobs.delayed} jobs that failed to be tried again`);
  }
  if (phase !== 'running' || held > 0) return stalled(`the evaluation of version ${version}`);
  if (inFlight > 0)
    return by(
      'replay-buffer',
      `${inFlight} groups in flight to reach the replay-buffer; batch ${version} has ${buffered} of ${candidatesPerBatch}`,
      `${inFlight} groups are in flight`,
    );
  if (situation.isPaused) return stalled('forge unpause: admission is paused');
  return stalled(`groups to be admitted; batch ${version} has ${buffered} of ${candidatesPerBatch}`);
}

/** Agents, where there are any, take the longest of a job. */
function whoRollsOut({ services }: RunSituation): string {
  return services.includes('gateway') ? 'agents' : 'the policies';
}

function atWork(what: string): Wait {
  return { for: what, isAtWork: true };
}

function stalled(what: string): Wait {
  return { for: what, isAtWork: false };
}
