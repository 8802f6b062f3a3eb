import type { RolloutQueue, RunState } from '@forge/broker';
import type { RolloutJob } from '@forge/contracts';
import type { Logger } from '@forge/telemetry';
import type { GroupAdmission } from './admission';
import type { EvaluationSchedule } from './evaluation-schedule';
import type { RunJobs } from './run-jobs';

export interface LostWorkOptions {
  runState: Pick<RunState, 'pendingGroups'>;
  queue: Pick<RolloutQueue, 'addAgain' | 'counts'>;
  jobs: RunJobs;
  admission: Pick<GroupAdmission, 'heldIndices' | 'prepared'>;
  schedule: Pick<EvaluationSchedule, 'outstandingVersion'>;
  logger: Pick<Logger, 'warn'>;
}

/**
 * Queues again work whose job is over or gone though its result is not there. A Redis that died may have lost the newest of
 * what it had acknowledged, a published group say, and its successor was then told that the job is done.
 */
export class LostWork {
  /** Work that had neither a result nor a job when it was last looked for, by id. */
  private missed = new Set<string>();

  constructor(private readonly options: LostWorkOptions) {}

  /** Call it again and again: only work that is missed twice is lost, since a result may be on its way. */
  async requeue(): Promise<void> {
    const { queue, logger } = this.options;
    const jobs = await this.withoutJob();
    const lost = [...jobs].filter(([id]) => this.missed.has(id));
    this.missed = new Set(jobs.keys());
    if (lost.length === 0) return;
    logger.warn({ work: lost.map(([id]) => id) }, 'work without job or result is queued again');
    await queue.addAgain(lost.map(([, job]) => job));
  }

  /** Jobs of the work that has no result, by id; none while any job is queued or under way. */
  private async withoutJob(): Promise<Map<string, RolloutJob>> {
    const { runState, queue, jobs, admission, schedule } = this.options;
    const wanted = new Set((await runState.pendingGroups()).map(({ index }) => index));
    const { waiting = 0, prioritized = 0, active = 0, delayed = 0 } = await queue.counts();
    const missing = new Map<string, RolloutJob>();
    if (waiting + prioritized + active + delayed > 0) return missing;
    for (const index of admission.heldIndices) wanted.delete(index);
    const pending = (await runState.pendingGroups()).filter(({ index }) => wanted.has(index));
    for (const one of await admission.prepared(pending)) missing.set(`group ${one.index}`, jobs.rollout(one));
    const version = schedule.outstandingVersion;
    for (const job of version === null ? [] : jobs.evaluation(version))
      missing.set(`evaluation ${job.minVersion} ${job.part}`, job);
    return missing;
  }
}
