import type { Evaluations } from '../evaluations';

/**
 * When the held-out set is evaluated.
 *
 * Version 0, every `everySteps`-th version and the final one are due. One evaluation is outstanding at a time; the newest
 * version answers for all that became due meanwhile. `everySteps` 0 switches it off.
 */
export class EvaluationSchedule {
  private asked: number | null = null;

  constructor(
    private readonly everySteps: number,
    private readonly evaluations: Pick<Evaluations, 'results' | 'has'>,
  ) {}

  /** The version whose evaluation was asked for and is not done. */
  get outstandingVersion(): number | null {
    return this.asked === null || this.evaluations.has(this.asked) ? null : this.asked;
  }

  /**
   * The version to evaluate now, if one is due and none is outstanding; it counts as outstanding from here on.
   * `final` asks for this very version whatever the schedule says.
   */
  next(version: number, final: boolean): number | null {
    if (this.everySteps === 0 || this.outstandingVersion !== null) return null;
    const last = this.evaluations.results.at(-1)?.version ?? -1;
    const nextDue = final ? last + 1 : (Math.floor(last / this.everySteps) + 1) * this.everySteps;
    if (version < nextDue) return null;
    this.asked = version;
    return version;
  }

  /** Whether `version` has a place in the schedule. */
  includes(version: number): boolean {
    return this.everySteps > 0 && version % this.everySteps === 0;
  }

  /** Whether the result of `version` is in, or never will be because evaluation is off. */
  isDone(version: number): boolean {
    return this.everySteps === 0 || this.evaluations.has(version);
  }
}
