import { setTimeout as sleep } from 'node:timers/promises';
import type { LeasedBatch, RunState } from '@forge/broker';
import type { ActorMesh } from '@forge/actors';
import type { Recorder, RunPosition, Trainer } from '@forge/rl-actors';
import type { Logger } from '@forge/telemetry';
import { stepMetrics } from '../domain/step-metrics';

export interface TrainingLoopOptions {
  runState: Pick<RunState, 'runId' | 'phase' | 'version' | 'readBatch' | 'commitStep' | 'emit'> & {
    resumption: Pick<RunState['resumption'], 'position'>;
  };
  trainer: Pick<ActorMesh<Trainer>, 'trainBatch' | 'pushWeights' | 'save' | 'checkpoint'>;
  seed: number;
  /** Keeps every step before it is committed; null: nobody does. */
  recorder: Pick<Recorder, 'step'> | null;
  steps: number;
  checkpointEverySteps: number;
  /** Milliseconds. */
  clock: () => number;
  logger: Logger;
}

/** There is one trainer per run; whoever takes over is handed the batch its predecessor did not commit. */
const CONSUMER = 'trainer';
/** Log-probs of the same tokens under the same weights differ by float rounding only (invariant M). */
const MISMATCH_BOUND = 1e-4;

/**
 * Trains batch after batch, each at the version that is current then; saves the final model and a checkpoint when the
 * run stops.
 */
export class TrainingLoop {
  private busyMs = 0;
  private tokens = 0;
  private waitMs = 0;
  private doneAt: number;
  private isSaved = false;
  /** Where the run stands; kept, so that a checkpoint needs no Redis. */
  private stand: { version: number; run: RunPosition } | null = null;
  private checkpointed: number | null = null;

  constructor(private readonly options: TrainingLoopOptions) {
    this.doneAt = options.clock();
  }

  totals(): { busyMs: number; tokens: number } {
    return { busyMs: this.busyMs, tokens: this.tokens };
  }

  /** Finds out where the run stands, before the first turn. */
  async locate(): Promise<void> {
    await this.stood(await this.options.runState.version(), {});
  }

  /** Trains the next batch, waiting up to `blockMs` for it; once the run stops, there is a model to save instead. */
  async turn(blockMs: number): Promise<void> {
    const { runState, steps, clock } = this.options;
    const [{ phase }, version] = await Promise.all([runState.phase(), runState.version()]);
    if (phase !== 'running' || version >= steps) {
      await this.save();
      await sleep(blockMs);
      return;
    }
    const waitedFrom = clock();
    const leased = await runState.readBatch(CONSUMER, blockMs);
    this.waitMs += clock() - waitedFrom;
    if (leased) await this.train(leased);
  }

  /**
   * Saves the final model and a checkpoint of its version, once, and says so, again and again: a Redis that dies may
   * lose what it was told last.
   */
  async save(): Promise<void> {
    if (!this.isSaved) {
      await this.options.trainer.save.callOne('model');
      await this.checkpoint();
      this.options.logger.info('final model saved');
    }
    this.isSaved = true;
    await this.options.runState.emit({ kind: 'run', state: 'saved' });
  }

  private async train({ batch, payloads }: LeasedBatch): Promise<void> {
    const { runState, trainer, recorder, clock, checkpointEverySteps, logger } = this.options;
    const { lag, ...result } = await trainer.trainBatch.callOne(batch, payloads);
    this.busyMs += result.durationMs;
    this.tokens += result.tokens;
    const announcement = await trainer.pushWeights.callOne();
    const { version } = announcement;
    await recorder?.step(batch, payloads, announcement.sha256);

    const timing = { stepMs: clock() - this.doneAt, waitMs: this.waitMs };
    this.doneAt = clock();
    this.waitMs = 0;
    // Told before the commit: who dies in between tells it twice rather than never.
    const metrics = stepMetrics(result, timing, batch.statistics);
    const { logprob_mismatch: mismatch = 0 } = metrics;
    if (mismatch > MISMATCH_BOUND)
      logger.warn({ step: version, mismatch }, 'generator and trainer disagree on log-probs');
    await runState.emit({ kind: 'step', step: version, values: { ...metrics, ...lag } });
    await runState.commitStep(batch.step, announcement);
    await this.stood(version, { ...metrics, ...lag });
    if (version % checkpointEverySteps === 0) await this.checkpoint();
  }

  private async stood(version: number, metrics: Record<string, number>): Promise<void> {
    const { runState, seed } = this.options;
    const position = await runState.resumption.position(version);
    this.stand = { version, run: { id: runState.runId, seed, ...position, metrics } };
  }

  private async checkpoint(): Promise<void> {
    if (this.stand === null || this.checkpointed === this.stand.version) return;
    await this.options.trainer.checkpoint.callOne(this.stand.run);
    this.checkpointed = this.stand.version;
  }
}
