import type { RunState } from '@forge/broker';
import type { StepWork } from '../step-work';
import type { RunSituation } from './run-situation';
import { StepEstimate, type WorkNow } from './step-estimate';

export interface StepTellerOptions {
  runState: Pick<RunState, 'setProgress'>;
  reported: Pick<StepWork, 'tokens'>;
  /** Tokens that the completions of one batch's candidates can have at most. */
  tokensPerBatch: number;
  /** Time in milliseconds. */
  clock: () => number;
}

/** How often a step is told of in which nothing moves. */
const QUIET_MS = 5_000;

/** Tells people how far the step under way is. */
export class StepTeller {
  private readonly estimate = new StepEstimate();
  private told: { work: string; atMs: number } | null = null;

  constructor(private readonly options: StepTellerOptions) {}

  /** Tells of the step where its work has moved, or nothing was told for a while. */
  async turn(situation: RunSituation): Promise<void> {
    if (situation.phase !== 'running') return;
    const { runState, clock } = this.options;
    const nowMs = clock();
    const work = this.workOf(situation);
    const progress = this.estimate.progress(work, nowMs);
    const text = JSON.stringify(work);
    if (this.told?.work === text && nowMs - this.told.atMs < QUIET_MS) return;
    this.told = { work: text, atMs: nowMs };
    await runState.setProgress(progress);
  }

  private workOf({ version, nextBatch, ledger, candidatesPerBatch, work }: RunSituation): WorkNow {
    const isFormed = nextBatch > version;
    const ready = isFormed ? candidatesPerBatch : Math.min(candidatesPerBatch, ledger.buffered);
    return {
      step: version + 1,
      stage: isFormed ? 'training' : 'rollouts',
      groups: { done: ready, of: candidatesPerBatch },
      tokens: { done: this.options.reported.tokens, atMost: this.options.tokensPerBatch },
      microBatches: work.microBatches,
    };
  }
}
