import type { TelemetryEvent } from '@forge/contracts';

/** Evaluations whose slices are waited for, of which an earlier coordinator may have asked for one. */
const MAX_OPEN = 16;

type EvaluationEvent = Extract<TelemetryEvent, { kind: 'evaluation' }>;

/** The held-out accuracy of one policy version: the share of samples answered correctly, 0..1. */
export interface Evaluation {
  version: number;
  accuracy: number;
  /** Not one sample could be answered and judged: the accuracy says nothing. */
  isVoid?: true;
}

/**
 * When the held-out set is evaluated, and what came out.
 *
 * Version 0, every `everySteps`-th version and the final one are due. One evaluation is outstanding at a time;
 * whatever became due meanwhile is answered by the newest version. `everySteps` 0 switches it off.
 */
export class EvaluationSchedule {
  private readonly done: Evaluation[] = [];
  private readonly slices = new Map<number, Map<number, EvaluationEvent>>();
  private outstanding: number | null = null;

  constructor(private readonly everySteps: number) {}

  /** Finished evaluations, oldest version first. */
  get results(): readonly Evaluation[] {
    return this.done;
  }

  /** The version whose evaluation was asked for and is not done. */
  get outstandingVersion(): number | null {
    return this.outstanding;
  }

  /**
   * The version to evaluate now, if one is due and none is outstanding; it counts as outstanding from here on.
   * `final` asks for this very version whatever the schedule says.
   */
  next(version: number, final: boolean): number | null {
    if (this.everySteps === 0 || this.outstanding !== null) return null;
    const last = this.done.at(-1)?.version ?? -1;
    const nextDue = final ? last + 1 : (Math.floor(last / this.everySteps) + 1) * this.everySteps;
    if (version < nextDue) return null;
    this.outstanding = version;
    return version;
  }

  /** Takes in one slice; the evaluation once its last slice is in. What is delivered twice counts once. */
  record(event: EvaluationEvent): Evaluation | null {
    const { version, part, parts } = event;
    if (this.done.some((evaluation) => evaluation.version === version)) return null;
    const slices = this.slices.get(version) ?? new Map<number, EvaluationEvent>();
    this.slices.set(version, slices.set(part, event));
    const [oldest] = this.slices.keys();
    if (this.slices.size > MAX_OPEN && oldest !== undefined) this.slices.delete(oldest);
    if (slices.size < parts) return null;
    const sum = (value: (slice: EvaluationEvent) => number) =>
      [...slices.values()].reduce((total, slice) => total + value(slice), 0);
    const total = sum((slice) => slice.total);
    const isVoid = sum(({ failed = 0 }) => failed) === total;
    const accuracy = sum(({ correct }) => correct) / total;
    const evaluation: Evaluation = { version, accuracy, ...(isVoid && { isVoid }) };
    this.slices.delete(version);
    if (this.outstanding === version) this.outstanding = null;
    this.restore(evaluation);
    return evaluation;
  }

  /** Takes over a result of an earlier coordinator of the same run. */
  restore(evaluation: Evaluation): void {
    this.done.push(evaluation);
    this.done.sort((a, b) => a.version - b.version);
  }

  /** Whether `version` has a place in the schedule. */
  includes(version: number): boolean {
    return this.everySteps > 0 && version % this.everySteps === 0;
  }

  /** Whether the result of `version` is in, or never will be because evaluation is off. */
  isDone(version: number): boolean {
    return this.everySteps === 0 || this.done.some((result) => result.version === version);
  }
}
