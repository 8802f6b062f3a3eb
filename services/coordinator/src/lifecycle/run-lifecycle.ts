import type { Admission, RolloutQueue, RunState } from '@forge/broker';
import type { RolloutJob, TraceOrigin } from '@forge/contracts';
import type { Task } from '@forge/rl';
import { recordSpan, traceOf, type Logger } from '@forge/telemetry';
import type { Evaluation, EvaluationSchedule } from './evaluation-schedule';
import { runEnd } from './run-end';
import type { OpenRollouts } from './open-rollouts';

export interface RunLifecycleOptions {
  runState: Pick<
    RunState,
    'phase' | 'setPhase' | 'version' | 'ledger' | 'admit' | 'pendingGroups' | 'emit'
  > & { controls: Pick<RunState['controls'], 'steering'> };
  queue: Pick<RolloutQueue, 'add' | 'addAgain' | 'counts'>;
  task: Task;
  evaluations: EvaluationSchedule;
  candidatesPerBatch: number;
  /** Held-out samples of one evaluation. */
  evaluationSamples: number;
  /** Which coordinator of the run this is: only the newest admits. */
  coordinator: number;
  isModelSaved: () => boolean;
  openRollouts: Pick<OpenRollouts, 'origin'>;
  logger: Logger;
}

const ADMITTED_AT_ONCE = 256;
const SAMPLES_PER_EVALUATION_JOB = 64;

/**
 * Moves a run from admission to its end: running (groups are admitted, evaluations scheduled), stopping (the trainer
 * saves, the final version is evaluated), finished.
 */
export class RunLifecycle {
  /** Admitted groups whose jobs are not queued yet. */
  private held: Held[] = [];
  /** Work that had neither a result nor a job when it was last looked for, by id. */
  private missed = new Set<string>();

  constructor(private readonly options: RunLifecycleOptions) {}

  /** How many admitted groups are held back. */
  get heldGroups(): number {
    return this.held.length;
  }

  /** Queues again what was admitted and has no result: its job may have died with an earlier coordinator. */
  async resume(): Promise<void> {
    this.held = this.traced(await this.options.runState.pendingGroups());
  }

  /** Does what is due now; how the run ended, once it has. */
  async turn(): Promise<'finished' | 'failed' | null> {
    const { phase } = await this.options.runState.phase();
    if (phase === 'running') return this.go();
    if (phase === 'stopping') return this.finish();
    return phase;
  }

  /**
   * Queues again work whose job is over or gone though its result is not there. A Redis that died may have lost the
   * newest of what it had acknowledged, a published group say, and its successor was then told that the job is done. To
   * be called again and again: work has to be missed twice, since a result may be on its way.
   */
  async requeueLost(): Promise<void> {
    const { runState, queue } = this.options;
    const before = await runState.pendingGroups();
    const { waiting = 0, prioritized = 0, active = 0, delayed = 0 } = await queue.counts();
    const jobs = new Map<string, RolloutJob>();
    if (waiting + prioritized + active + delayed === 0) {
      const wanted = new Set(before.map(({ index }) => index));
      for (const { index } of this.held) wanted.delete(index);
      const pending = (await runState.pendingGroups()).filter(({ index }) => wanted.has(index));
      for (const admission of this.traced(pending)) jobs.set(`group ${admission.index}`, this.job(admission));
      const version = this.options.evaluations.outstandingVersion;
      const parts = version === null ? [] : this.evaluationJobs(version);
      for (const job of parts) jobs.set(`evaluation ${job.minVersion} ${job.part}`, job);
    }
    const lost = [...jobs].filter(([id]) => this.missed.has(id));
    this.missed = new Set(jobs.keys());
    if (lost.length === 0) return;
    this.options.logger.warn({ work: lost.map(([id]) => id) }, 'work without job or result is queued again');
    await queue.addAgain(lost.map(([, job]) => job));
  }

  private async go(): Promise<null> {
    const { runState, candidatesPerBatch, logger } = this.options;
    const [version, ledger, steering] = await Promise.all([
      runState.version(),
      runState.ledger(),
      runState.controls.steering(),
    ]);
    const goals = { ...steering, candidatesPerBatch };
    const evaluations = [...this.options.evaluations.results];
    const end = runEnd(goals, { version, evaluations, ledger });
    if (end) {
      logger.info(end, 'run ends');
      await runState.setPhase(end.phase, end.message);
      await runState.emit({ kind: 'run', state: end.phase, message: end.message });
      return null;
    }
    await this.evaluate(version, false);
    this.held.push(...this.traced(await runState.admit(ADMITTED_AT_ONCE, this.options.coordinator)));
    await this.release(evaluations, version, steering.maxStaleness);
    return null;
  }

  /** The final version is known once the trainer has saved it. */
  private async finish(): Promise<'finished' | null> {
    const { runState, evaluations, isModelSaved } = this.options;
    if (!isModelSaved()) return null;
    const version = await runState.version();
    await this.evaluate(version, true);
    return evaluations.isDone(version) ? 'finished' : null;
  }

  private async evaluate(version: number, final: boolean): Promise<void> {
    const { queue, evaluations } = this.options;
    if (evaluations.next(version, final) !== null) await queue.add(this.evaluationJobs(version));
  }

  private evaluationJobs(version: number) {
    const { task, evaluationSamples } = this.options;
    const samples = task.heldOut.slice(0, evaluationSamples);
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

  /**
   * Queues the jobs of held groups. A synchronous run waits for the evaluation of the version they start from, and for
   * what follows from it: the evaluation is exact, and the step a run stops at does not depend on timing. A version that
   * was passed while the run was asynchronous is not waited for.
   */
  private async release(judged: readonly Evaluation[], version: number, maxStaleness: number): Promise<void> {
    const { queue, evaluations } = this.options;
    const waits = ({ minVersion }: Held) =>
      maxStaleness === 0 &&
      minVersion >= version &&
      evaluations.includes(minVersion) &&
      !judged.some((evaluation) => evaluation.version === minVersion);
    const ready = this.held.filter((admission) => !waits(admission));
    if (ready.length === 0) return;
    await queue.add(ready.map((admission) => this.job(admission)));
    for (const admission of ready) this.record(admission);
    this.held = this.held.filter(waits);
  }

  private traced(admissions: readonly Admission[]): Held[] {
    const { openRollouts } = this.options;
    return admissions.map((admission) => ({ ...admission, trace: openRollouts.origin(admission.index) }));
  }

  private job({ index, minVersion, replayOf, trace }: Held): RolloutJob {
    const sample = this.options.task.sample(replayOf ?? index);
    return { kind: 'rollout', schemaVersion: 1, index, minVersion, sample, ...(trace && { trace }) };
  }

  /** From the admission to the queue: the time that a synchronous run waits for an evaluation, and no more. */
  private record({ index, minVersion, replayOf, trace }: Held): void {
    if (trace === undefined) return;
    const attributes = {
      'forge.rollout.index': index,
      'forge.policy.version.min': minVersion,
      ...(replayOf !== null && { 'forge.rollout.replay_of': replayOf }),
    };
    const parent = traceOf(trace.traceparent);
    recordSpan('admit', { parent, startMs: trace.admittedAtMs, attributes }, Date.now());
  }
}

type Held = Admission & { trace: TraceOrigin | undefined };
