import type { Admission } from '@forge/broker';
import { evaluationJobs, SCHEMA_VERSION, type RolloutJob, type TraceOrigin } from '@forge/contracts';
import type { Task } from '@forge/rl';

/** An admitted group with the trace that its rollout belongs to. */
export type TracedAdmission = Admission & { trace: TraceOrigin | undefined };

/** The jobs of a task. */
export class RunJobs {
  /** `evaluationSamples`: held-out samples of one evaluation. */
  constructor(
    private readonly task: Task,
    private readonly evaluationSamples: number,
  ) {}

  rollout({ index, minVersion, replayOf, position, trace }: TracedAdmission): RolloutJob {
    const sample = this.task.sample(position ?? replayOf ?? index);
    return {
      kind: 'rollout',
      schemaVersion: SCHEMA_VERSION.rolloutJob,
      index,
      minVersion,
      sample,
      ...(trace && { trace }),
    };
  }

  /** The slices of the evaluation of a version, one job each. */
  evaluation(version: number) {
    return evaluationJobs(version, this.task.heldOut.slice(0, this.evaluationSamples));
  }
}
