import { setTimeout as sleep } from 'node:timers/promises';
import type { LeasedBatch, Rollback, RunState } from '@forge/broker';
import { ForgeError } from '@forge/errors';
import type { ActorMesh } from '@forge/actors';
import type { Recorder, Trainer } from '@forge/rl-actors';
import type { Logger } from '@forge/telemetry';
import { stepMetrics } from '../domain/step-metrics';

export interface TrainingLoopOptions {
  runState: Pick<RunState, 'phase' | 'setPhase' | 'version' | 'readBatch' | 'commitStep' | 'emit'> & {
    weights: Pick<
      RunState['weights'],
      'announce' | 'takeAsked' | 'users' | 'wanted' | 'hashOf' | 'refuseRollback'
    >;
  };
  trainer: Pick<ActorMesh<Trainer>, 'trainBatch' | 'rollBack' | 'pushWeights' | 'save' | 'checkpoint'>;
  /** Names of the policies that are alive, among those that use weights. */
  livePolicies: () => Promise<ReadonlySet<string>>;
  /** Keeps every step before it is committed; null: nobody does. */
  recorder: Pick<Recorder, 'step'> | null;
  steps: number;
  checkpointEverySteps: number;
  /** So many steps that were rolled back by themselves, one after the other, fail the run. */
  maxRollbacksInARow: number;
  /** Milliseconds. */
  clock: () => number;
  logger: Logger;
}

interface Timing {
  stepMs: number;
  waitMs: number;
}

/** There is one trainer per run; whoever takes over is handed the batch its predecessor did not commit. */
const CONSUMER = 'trainer';
/** Log-probs of the same tokens under the same weights differ by float rounding only (invariant M). */
const MISMATCH_BOUND = 1e-4;
/** Errors of a step that is not applied. */
const WENT_WRONG = ['NUMERIC_NON_FINITE', 'NUMERIC_LIMIT_EXCEEDED'];

/** Trains batch after batch, each at the version that is current then; saves the final model when the run stops. */
export class TrainingLoop {
  private busyMs = 0;
  private tokens = 0;
  private waitMs = 0;
  private doneAt: number;
  private isSaved = false;
  /** Why the last step that went wrong did. */
  private wentWrong: string | null = null;

  constructor(private readonly options: TrainingLoopOptions) {
    this.doneAt = options.clock();
  }

  totals(): { busyMs: number; tokens: number } {
    return { busyMs: this.busyMs, tokens: this.tokens };
  }

  /** Trains the next batch, waiting up to `blockMs` for it; once the run stops, there is a model to save instead. */
  async turn(blockMs: number): Promise<void> {
    const { runState, steps, clock, maxRollbacksInARow } = this.options;
    const [{ phase }, version, wanted] = await Promise.all([
      runState.phase(),
      runState.version(),
      runState.weights.wanted(),
    ]);
    if (phase === 'running' && wanted.rollbacksInARow >= maxRollbacksInARow) {
      const last = this.wentWrong === null ? '' : `; the last: ${this.wentWrong}`;
      await runState.setPhase('failed', `${wanted.rollbacksInARow} steps in a row were rolled back${last}`);
      return;
    }
    if (phase !== 'running' || version >= steps) {
      await this.save();
      await sleep(blockMs);
      return;
    }
    if (wanted.publish !== null) await this.publishAgain(wanted.publish, version);
    const waitedFrom = clock();
    const leased = await runState.readBatch(CONSUMER, blockMs);
    this.waitMs += clock() - waitedFrom;
    if (leased) await this.step(leased);
  }

  /** Saves the final model, once, and says so, again and again: a Redis that dies may lose what it was told last. */
  async save(): Promise<void> {
    if (!this.isSaved) {
      await this.options.trainer.save.callOne('model');
      this.options.logger.info('final model saved');
    }
    this.isSaved = true;
    await this.options.runState.emit({ kind: 'run', state: 'saved' });
  }

  /** Writes and announces the current version anew; of an older one a newer is announced already. */
  private async publishAgain(asked: number, version: number): Promise<void> {
    const { runState, trainer, logger } = this.options;
    await runState.weights.takeAsked();
    if (asked !== version) return;
    logger.warn({ version }, 'weights are published again: somebody could not read them');
    await runState.weights.announce(await trainer.pushWeights.callOne(await this.versionsInUse()));
  }

  /** Versions that live policies generate with or read, and the one to go back to. */
  private async versionsInUse(): Promise<number[]> {
    const { runState, livePolicies } = this.options;
    const { weights } = runState;
    const [users, { rollback }, live] = await Promise.all([
      weights.users(),
      weights.wanted(),
      livePolicies(),
    ]);
    const used = [...users].flatMap(([user, { version, reading }]) =>
      live.has(user) ? [version, reading] : [],
    );
    return [...used, rollback].filter((version) => version !== null);
  }

  /** Ends the step of a batch: by training on it, or by going back to an earlier version where that is asked for. */
  private async step(leased: LeasedBatch): Promise<void> {
    const { rollback } = await this.options.runState.weights.wanted();
    if (rollback === null || !(await this.rollBack(leased, { to: rollback, isAsked: true })))
      await this.train(leased);
  }

  private async train({ batch, payloads }: LeasedBatch): Promise<void> {
    const { trainer, logger } = this.options;
    let trained;
    try {
      trained = await trainer.trainBatch.callOne(batch, payloads);
    } catch (error) {
      if (!(error instanceof ForgeError) || !WENT_WRONG.includes(error.code)) throw error;
      this.wentWrong = error.message;
      await this.rollBack({ batch, payloads }, { to: batch.step, isAsked: false });
      return;
    }
    const { lag, ...result } = trained;
    this.busyMs += result.durationMs;
    this.tokens += result.tokens;
    await this.commit({ batch, payloads }, (timing) => {
      const metrics = stepMetrics(result, timing, batch.statistics);
      const { logprob_mismatch: mismatch = 0 } = metrics;
      if (mismatch > MISMATCH_BOUND)
        logger.warn({ step: batch.step + 1, mismatch }, 'generator and trainer disagree on log-probs');
      return { ...metrics, ...lag };
    });
  }

  /** False when that version can't be gone back to; whoever asked is told, and nothing has changed. */
  private async rollBack(leased: LeasedBatch, rollback: Rollback): Promise<boolean> {
    const { runState, trainer, logger } = this.options;
    const { batch } = leased;
    const { to, isAsked } = rollback;
    try {
      await trainer.rollBack.callOne(to, await runState.weights.hashOf(to));
    } catch (error) {
      if (!isAsked || !(error instanceof ForgeError) || error.retryClass === 'bug') throw error;
      logger.error({ err: error, to }, 'rollback refused');
      await runState.weights.refuseRollback(to, error.message);
      return false;
    }
    const why = isAsked ? 'it was asked for' : (this.wentWrong ?? '');
    const message = `step ${batch.step + 1} goes back to version ${to}: ${why}`;
    logger.warn({ step: batch.step + 1, to, why }, 'step rolled back');
    await runState.emit({ kind: 'run', state: 'running', message });
    const untrained = ({ stepMs, waitMs }: Timing): Record<string, number> => ({
      ...batch.statistics,
      'rollback/to': to,
      'time/step_ms': stepMs,
      'time/wait_ms': waitMs,
    });
    await this.commit(leased, untrained, rollback);
    return true;
  }

  /** Publishes the version that a step made, tells its metrics and ends the step. */
  private async commit(
    { batch, payloads }: LeasedBatch,
    metricsAt: (timing: Timing) => Record<string, number>,
    rolledBack?: Rollback,
  ): Promise<void> {
    const { runState, trainer, recorder, clock, checkpointEverySteps } = this.options;
    const announcement = await trainer.pushWeights.callOne(await this.versionsInUse());
    const { version } = announcement;
    await recorder?.step(batch, payloads, announcement.sha256, rolledBack?.to ?? null);
    const values = metricsAt({ stepMs: clock() - this.doneAt, waitMs: this.waitMs });
    this.doneAt = clock();
    this.waitMs = 0;
    // Told before the commit: who dies in between tells it twice rather than never.
    await runState.emit({ kind: 'step', step: version, values });
    await runState.commitStep(batch.step, announcement, rolledBack);
    if (version % checkpointEverySteps === 0) await trainer.checkpoint.callOne();
  }
}
