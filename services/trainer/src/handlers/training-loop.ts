import { setTimeout as sleep } from 'node:timers/promises';
import type { LeasedBatch, RunState, RunSteering } from '@forge/broker';
import type { ActorMesh } from '@forge/actors';
import { ForgeError } from '@forge/errors';
import type { Trainer } from '@forge/rl-actors';
import type { Logger } from '@forge/telemetry';
import { stepMetrics } from '../domain/step-metrics';

export interface TrainingLoopOptions {
  runState: Pick<RunState, 'phase' | 'version' | 'readBatch' | 'commitStep' | 'emit'> & {
    controls: Pick<RunState['controls'], 'steering'>;
  };
  trainer: Pick<ActorMesh<Trainer>, 'trainBatch' | 'pushWeights' | 'save' | 'checkpoint'>;
  /** Which trainer of the run this is: only the newest trains. */
  epoch: number;
  checkpointEverySteps: number;
  /** Milliseconds. */
  clock: () => number;
  logger: Logger;
}

/** There is one trainer per run; whoever takes over is handed the batch its predecessor did not commit. */
const CONSUMER = 'trainer';
/** Log-probs of the same tokens under the same weights differ by float rounding only (invariant M). */
const MISMATCH_BOUND = 1e-4;

/** Trains batch after batch, each at the version that is current then; saves the final model when the run stops. */
export class TrainingLoop {
  private busyMs = 0;
  private tokens = 0;
  private waitMs = 0;
  private doneAt: number;
  private isSaved = false;

  constructor(private readonly options: TrainingLoopOptions) {
    this.doneAt = options.clock();
  }

  totals(): { busyMs: number; tokens: number } {
    return { busyMs: this.busyMs, tokens: this.tokens };
  }

  /**
   * Trains the next batch, waiting up to `blockMs` for it; once the run stops, there is a model to save instead.
   *
   * @throws {ForgeError} STALE_EPOCH when another trainer took over.
   */
  async turn(blockMs: number): Promise<void> {
    const { runState, clock } = this.options;
    const [{ phase }, version, { steps }] = await Promise.all([
      runState.phase(),
      runState.version(),
      this.checkEpoch(),
    ]);
    if (phase !== 'running' || version >= steps) {
      await this.save();
      await sleep(blockMs);
      return;
    }
    const waitedFrom = clock();
    let leased = await runState.readBatch(CONSUMER, blockMs);
    // A predecessor that waited in the same moment was given the one before; it comes to its successor with the next read.
    if (leased !== null && leased.batch.step > version) leased = await runState.readBatch(CONSUMER, blockMs);
    this.waitMs += clock() - waitedFrom;
    if (leased) await this.train(leased);
  }

  /** @throws {ForgeError} STALE_EPOCH when another trainer took over. */
  async checkEpoch(): Promise<RunSteering> {
    const { runState, epoch } = this.options;
    const steering = await runState.controls.steering();
    if (steering.epoch === epoch) return steering;
    throw new ForgeError('STALE_EPOCH', `trainer ${epoch} was replaced by ${steering.epoch}`, { epoch });
  }

  /** Saves the final model, once. */
  async save(): Promise<void> {
    if (this.isSaved) return;
    await this.options.trainer.save.callOne('model');
    this.isSaved = true;
    this.options.logger.info('final model saved');
    await this.options.runState.emit({ kind: 'run', state: 'saved' });
  }

  private async train({ batch, payloads, maxStaleness }: LeasedBatch): Promise<void> {
    const { runState, trainer, clock, checkpointEverySteps, logger } = this.options;
    const { lag, ...result } = await trainer.trainBatch.callOne(batch, payloads, maxStaleness);
    this.busyMs += result.durationMs;
    this.tokens += result.tokens;
    const announcement = await trainer.pushWeights.callOne();
    const { version } = announcement;

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
    if (version % checkpointEverySteps === 0) await trainer.checkpoint.callOne();
  }
}
