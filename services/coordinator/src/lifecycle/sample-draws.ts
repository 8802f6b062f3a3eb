import type { Admission, RunState } from '@forge/broker';
import { Curriculum, type CurriculumOptions, type Task } from '@forge/rl';

export interface SampleDrawsOptions {
  state: Pick<RunState['curriculum'], 'read' | 'start' | 'results' | 'positionOf' | 'assign'>;
  task: Task;
  curriculum: CurriculumOptions;
  /** The reward of a perfect episode, at which its success is 1. */
  fullReward: number;
  /** The number of this coordinator of the run: only the newest draws. */
  coordinator: number;
}

/**
 * Draws the samples of admitted groups by the curriculum of the run, which Redis keeps. A draw depends on the draws before
 * it and on the results of batches formed by then alone: in a synchronous run, on nothing that timing decides.
 */
export class SampleDraws {
  private curriculum!: Curriculum;
  private assignments = 0;

  private constructor(private readonly options: SampleDrawsOptions) {}

  /** Draws that go on where an earlier coordinator of the run left off. */
  static async open(options: SampleDrawsOptions): Promise<SampleDraws> {
    const draws = new SampleDraws(options);
    await draws.read();
    return draws;
  }

  /** The admissions, each with the position of its sample. */
  async placed(admissions: readonly Admission[]): Promise<Admission[]> {
    for (;;) {
      const open = admissions.filter(({ position }) => position === undefined);
      if (open.length === 0) return [...admissions];
      const drawn = await this.draw(open);
      if (drawn !== null)
        return admissions.map((admission) => ({
          ...admission,
          position: admission.position ?? drawn.get(admission.index)!,
        }));
      // A Redis that died has forgotten the newest draws: they are drawn again.
      await this.read();
    }
  }

  /** The positions of the samples of groups by index; null when Redis does not have the draws before them. */
  private async draw(open: readonly Admission[]): Promise<Map<number, number> | null> {
    const { state, coordinator } = this.options;
    const steps = await this.observe();
    const drawn = new Map<number, number>();
    for (const { index, replayOf } of open)
      drawn.set(index, replayOf === undefined ? this.curriculum.draw() : await state.positionOf(replayOf));
    const positions = [...drawn].map(([index, position]) => ({ index, position }));
    const number = this.assignments + 1;
    const assignment = { number, positions, steps, changes: this.curriculum.changes() };
    if (!(await state.assign(assignment, coordinator))) return null;
    this.assignments = number;
    return drawn;
  }

  /** Takes in the batches formed since; their steps. */
  private async observe(): Promise<number[]> {
    const { state, fullReward } = this.options;
    const steps: number[] = [];
    for (;;) {
      const step = this.curriculum.nextStep;
      const results = await state.results(step);
      if (results === null) return steps;
      const rates = results.map(({ reward, ...result }) => ({ ...result, success: reward / fullReward }));
      this.curriculum.observe(rates);
      steps.push(step);
    }
  }

  private async read(): Promise<void> {
    const { state, task, curriculum } = this.options;
    const { assignments, fields } = await state.read();
    this.curriculum = new Curriculum(task, curriculum, fields);
    this.assignments = assignments;
    if (assignments > 0) return;
    const { index, step } = await state.start();
    this.curriculum.startAt(index, step);
  }
}
