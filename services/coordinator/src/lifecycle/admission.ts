import type { Admission, RolloutQueue, RunState } from '@forge/broker';
import { recordSpan, traceOf } from '@forge/telemetry';
import type { Evaluation } from '../evaluations';
import type { EvaluationSchedule } from './evaluation-schedule';
import type { OpenRollouts } from './open-rollouts';
import type { RunJobs, TracedAdmission } from './run-jobs';
import type { SampleDraws } from './sample-draws';

export interface GroupAdmissionOptions {
  runState: Pick<RunState, 'admit' | 'pendingGroups'>;
  queue: Pick<RolloutQueue, 'add'>;
  jobs: RunJobs;
  schedule: Pick<EvaluationSchedule, 'includes'>;
  /** The number of this coordinator of the run: only the newest admits. */
  coordinator: number;
  openRollouts: Pick<OpenRollouts, 'origin'>;
  /** Draws of a curriculum; null where indices say which sample is which. */
  draws: Pick<SampleDraws, 'placed'> | null;
}

const ADMITTED_AT_ONCE = 256;

/** Admits groups and queues their jobs, each when the evaluation of the version it starts from lets it. */
export class GroupAdmission {
  /** Admitted groups whose jobs are not queued yet. */
  private held: TracedAdmission[] = [];

  constructor(private readonly options: GroupAdmissionOptions) {}

  /** Indices of the admitted groups that are held back. */
  get heldIndices(): number[] {
    return this.held.map(({ index }) => index);
  }

  /** Takes over what was admitted and has no result: its job may have died with an earlier coordinator. */
  async resume(): Promise<void> {
    this.held = await this.prepared(await this.options.runState.pendingGroups());
  }

  /** Admits as many groups as the staleness bound allows. */
  async admit(): Promise<void> {
    const { runState, coordinator } = this.options;
    this.held.push(...(await this.prepared(await runState.admit(ADMITTED_AT_ONCE, coordinator))));
  }

  /**
   * Queues the jobs of held groups. A synchronous run waits for the evaluation of the version they start from, and for
   * what follows from it: the evaluation is exact, and the step a run stops at does not depend on timing. A version that
   * was passed while the run was asynchronous is not waited for.
   */
  async release(judged: readonly Evaluation[], version: number, maxStaleness: number): Promise<void> {
    const { queue, jobs, schedule } = this.options;
    const waits = ({ minVersion }: Admission) =>
      maxStaleness === 0 &&
      minVersion >= version &&
      schedule.includes(minVersion) &&
      !judged.some((evaluation) => evaluation.version === minVersion);
    const ready = this.held.filter((admission) => !waits(admission));
    if (ready.length === 0) return;
    await queue.add(ready.map((admission) => jobs.rollout(admission)));
    for (const admission of ready) recordAdmission(admission);
    this.held = this.held.filter(waits);
  }

  /** The admissions, each with its sample and the trace of its rollout. */
  async prepared(admissions: readonly Admission[]): Promise<TracedAdmission[]> {
    const { openRollouts, draws } = this.options;
    const placed = (await draws?.placed(admissions)) ?? admissions;
    return placed.map((admission) => ({ ...admission, trace: openRollouts.origin(admission.index) }));
  }
}

/** Records the span from admission to queue: the time that a synchronous run waits for an evaluation, and no more. */
function recordAdmission({ index, minVersion, replayOf, trace }: TracedAdmission): void {
  if (trace === undefined) return;
  const attributes = {
    'forge.rollout.index': index,
    'forge.policy.version.min': minVersion,
    ...(replayOf !== null && { 'forge.rollout.replay_of': replayOf }),
  };
  const parent = traceOf(trace.traceparent);
  recordSpan('admit', { parent, startMs: trace.admittedAtMs, attributes }, Date.now());
}
