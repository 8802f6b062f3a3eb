import type { Admission } from '@forge/broker';
import type { RolloutJob, TraceOrigin } from '@forge/contracts';
import type { Task } from '@forge/rl';

/** An admitted group with the trace that its rollout belongs to. */
export type TracedAdmission = Admission & { trace: TraceOrigin | undefined };

const SAMPLES_PER_EVALUATION_JOB = 64;

/** The jobs of a task. */
export class RunJobs {
  /** `evaluationSamples`: held-out samples of one evaluation. */
  constructor(
    private readonly task: Task,
    private readonly evaluationSamples: number,
  ) {}

  rollout({ index, minVersion, replayOf, position, trace }: TracedAdmission): RolloutJob {
    const sample = this.task.sample(position ?? replayOf ?? index);
    return { kind: 'rollout', schemaVersion: 1, index, minVersion, sample, ...(trace && { trace }) };
  }

  /** The slices of the evaluation of a version, one job each. */
  evaluation(version: number) {
    const samples = this.task.heldOut.slice(0, this.evaluationSamples);
    const parts = Math.ceil(samples.length / SAMPLES_PER_EVALUATION_JOB);
    return Array.from({ length: parts }, (_, part) => ({
      kind: 'evaluation' as const,
      schemaVersion: 1 as const,
      minVersion: version,
      part,
      parts,
      samples: samples.slice(part * SAMPLES_PER_EVALUATION_JOB, (part + 1) * SAMPLES_PER_EVALUATION_JOB),
    }));
  }
}
