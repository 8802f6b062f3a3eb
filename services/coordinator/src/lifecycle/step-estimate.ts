import { rolloutShare, type StepProgress } from '@forge/contracts';

type Stage = StepProgress['stage'];
/** The work of a step at a moment. */
export type WorkNow = Pick<StepProgress, 'step' | 'stage' | 'groups' | 'tokens' | 'microBatches'>;

/** Steps that an estimate goes by. */
const STEPS_REMEMBERED = 5;

/**
 * How long the step under way takes, by its own pace and that of the steps before. It is told again and again where the run
 * stands; a stage that passes between two looks counts as part of the other.
 */
export class StepEstimate {
  private step: number | null = null;
  private stage: Stage = 'rollouts';
  /** When step and stage began. */
  private stepAtMs = 0;
  private stageAtMs = 0;
  /** The share of the stage that was done at its beginning. */
  private shareBefore = 0;
  /** The share of the rest that is done, and when it came to be. */
  private share = 0;
  private shareAtMs = 0;
  /** Milliseconds of each stage of the newest steps. */
  private readonly before: Record<Stage, number[]> = { rollouts: [], training: [] };

  /** The progress of the step. */
  progress(work: WorkNow, nowMs: number): StepProgress {
    this.take(work, nowMs);
    return { ...work, elapsedMs: nowMs - this.stepAtMs, expectedMs: this.expectedMs(nowMs) };
  }

  private take(work: WorkNow, nowMs: number): void {
    if (this.step !== work.step) {
      if (this.step !== null && work.step > this.step) this.remember(work.step - this.step, nowMs);
      this.step = work.step;
      this.stepAtMs = nowMs;
      this.enter(work, nowMs);
    } else if (this.stage !== work.stage) this.enter(work, nowMs);
    const share = this.shareBefore < 1 ? (shareOf(work) - this.shareBefore) / (1 - this.shareBefore) : 1;
    if (share <= this.share) return;
    this.share = share;
    this.shareAtMs = nowMs;
  }

  private enter(work: WorkNow, nowMs: number): void {
    this.stage = work.stage;
    this.stageAtMs = nowMs;
    this.shareBefore = shareOf(work);
    this.share = 0;
    this.shareAtMs = nowMs;
  }

  /** Takes down the stages of a step that was committed, or the mean of several that were since the last look. */
  private remember(steps: number, nowMs: number): void {
    const trainingMs = this.stage === 'training' ? nowMs - this.stageAtMs : 0;
    const rolloutsMs = nowMs - this.stepAtMs - trainingMs;
    for (const [stage, ms] of [
      ['rollouts', rolloutsMs],
      ['training', trainingMs],
    ] as const) {
      this.before[stage].push(ms / steps);
      this.before[stage].splice(0, this.before[stage].length - STEPS_REMEMBERED);
    }
  }

  private expectedMs(nowMs: number): number | null {
    const stageMs = this.expectedStageMs(nowMs);
    const trainingMs = this.stage === 'training' ? 0 : median(this.before.training);
    if (stageMs === null || trainingMs === null) return null;
    return this.stageAtMs - this.stepAtMs + stageMs + trainingMs;
  }

  /** The stage under way: as long as before at its beginning, at its own pace at its end. */
  private expectedStageMs(nowMs: number): number | null {
    const { share } = this;
    const usualMs = median(this.before[this.stage]);
    const ownMs = share > 0 ? (this.shareAtMs - this.stageAtMs) / share : null;
    if (ownMs === null && usualMs === null) return null;
    const expected = (1 - share) * (usualMs ?? ownMs!) + share * (ownMs ?? 0);
    return Math.max(expected, nowMs - this.stageAtMs);
  }
}

function shareOf({ stage, groups, tokens, microBatches }: WorkNow): number {
  if (stage === 'rollouts') return rolloutShare({ groups, tokens });
  return microBatches === null ? 0 : microBatches.done / Math.max(1, microBatches.of);
}

function median(values: readonly number[]): number | null {
  const sorted = [...values].sort((a, b) => a - b);
  return sorted[sorted.length >> 1] ?? null;
}
