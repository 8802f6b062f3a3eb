import { setTimeout as sleep } from 'node:timers/promises';
import type { LeasedBatch, Rollback, RunState, RunSteering } from '@forge/broker';
import { ForgeError } from '@forge/errors';
import type { ActorMesh } from '@forge/actors';
import type { MicroBatches, Recorder, RunPosition, Trainer } from '@forge/rl-actors';
import { ActivityClock, SpanKind, type Logger, type RunTraces } from '@forge/telemetry';
import { stepMetrics } from '../domain/step-metrics';
import { StepTrace } from './step-trace';

export interface TrainingLoopOptions {
  runState: Pick<
    RunState,
    'runId' | 'phase' | 'setPhase' | 'version' | 'readBatch' | 'commitStep' | 'emit'
  > & {
    weights: Pick<
      RunState['weights'],
      'announce' | 'takeAsked' | 'users' | 'wanted' | 'hashOf' | 'refuseRollback'
    >;
    controls: Pick<RunState['controls'], 'steering'>;
    resumption: Pick<RunState['resumption'], 'position'>;
  };
  trainer: Pick<ActorMesh<Trainer>, 'trainBatch' | 'rollBack' | 'publishWeights' | 'save' | 'checkpoint'>;
  /** How far the trainer is with its newest step; null before it has told. */
  microBatches: () => MicroBatches | null;
  /** Names of the policies that are alive, among those that use weights. */
  livePolicies: () => Promise<ReadonlySet<string>>;
  seed: number;
  /** Keeps every step before it is committed; null: steps are not kept. */
  recorder: Pick<Recorder, 'step'> | null;
  /** The number of this trainer of the run: only the newest trains. */
  epoch: number;
  checkpointEverySteps: number;
  traces: Pick<RunTraces, 'step'>;
  /** Steps in a row whose automatic rollback fails the run. */
  maxRollbacksInARow: number;
  /** Time in milliseconds. */
  clock: () => number;
  logger: Logger;
}

interface Timing {
  stepMs: number;
  waitMs: number;
}

/** One name, as a run has one trainer: a successor is handed the batch its predecessor did not commit. */
const CONSUMER = 'trainer';
/** Log-probs of the same tokens under the same weights differ by float rounding only (invariant M). */
const MISMATCH_BOUND = 1e-4;
/** Errors of a step that is not applied. */
const WENT_WRONG = ['NUMERIC_NON_FINITE', 'NUMERIC_LIMIT_EXCEEDED'];

/**
 * Trains batch after batch, each at the version that is current then; saves the final model and a checkpoint when the
 * run stops.
 */
export class TrainingLoop {
  private readonly activity: ActivityClock;
  private tokens = 0;
  private waitMs = 0;
  private doneAt: number;
  private isSaved = false;
  /** Where the run stands; kept, so that a checkpoint needs no Redis. */
  private stand: { version: number; run: RunPosition } | null = null;
  private checkpointed: number | null = null;
  /** The reason the last failed step went wrong. */
  private wentWrong: string | null = null;
  /** The version that the step under way makes. */
  private training: number | null = null;

  constructor(private readonly options: TrainingLoopOptions) {
    this.doneAt = options.clock();
    this.activity = new ActivityClock(['busy', 'waits/batch'], options.clock);
  }

  totals(): Record<string, number> {
    return { ...this.activity.totals(), tokens: this.tokens };
  }

  /** How far the step under way is; empty between steps. */
  gauges(): Record<string, number> {
    const told = this.options.microBatches();
    if (this.training === null || told?.version !== this.training - 1) return {};
    const { done, of } = told;
    return { 'step/number': this.training, 'step/microBatchesDone': done, 'step/microBatches': of };
  }

  /** Finds out where the run stands, before the first turn. */
  async locate(): Promise<void> {
    await this.stood(await this.options.runState.version(), {});
  }

  /**
   * Trains the next batch, waiting up to `blockMs` for it; once the run stops, there is a model to save instead.
   *
   * @throws {ForgeError} STALE_EPOCH when another trainer took over.
   */
  async turn(blockMs: number): Promise<void> {
    const { runState, clock, maxRollbacksInARow } = this.options;
    const [{ phase }, version, wanted, { steps }] = await Promise.all([
      runState.phase(),
      runState.version(),
      runState.weights.wanted(),
      this.checkEpoch(),
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
    const leased = await this.activity.during('waits/batch', async () => {
      const next = await runState.readBatch(CONSUMER, blockMs);
      // A predecessor that waited in the same moment was given the one before; it comes to its successor with the next read.
      return next !== null && next.batch.version > version ? runState.readBatch(CONSUMER, blockMs) : next;
    });
    this.waitMs += clock() - waitedFrom;
    if (leased) await this.activity.during('busy', () => this.step(leased));
  }

  /** @throws {ForgeError} STALE_EPOCH when another trainer took over. */
  async checkEpoch(): Promise<RunSteering> {
    const { runState, epoch } = this.options;
    const steering = await runState.controls.steering();
    if (steering.epoch === epoch) return steering;
    throw new ForgeError('STALE_EPOCH', `trainer ${epoch} was replaced by ${steering.epoch}`, { epoch });
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

  /** Writes and announces the current version anew; of an older one a newer is announced already. */
  private async publishAgain(asked: number, version: number): Promise<void> {
    const { runState, trainer, logger } = this.options;
    await runState.weights.takeAsked();
    if (asked !== version) return;
    logger.warn({ version }, 'weights are published again: somebody could not read them');
    await runState.weights.announce(await trainer.publishWeights.callOne(await this.versionsInUse()));
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
  private step(leased: LeasedBatch): Promise<void> {
    return StepTrace.begin(this.options.traces, leased.batch, async (trace) => {
      const { rollback } = await this.options.runState.weights.wanted();
      if (rollback === null || !(await this.rollBack(leased, { to: rollback, isAsked: true }, trace)))
        await this.train(leased, trace);
    });
  }

  private async train(leased: LeasedBatch, trace: StepTrace): Promise<void> {
    const { runState, trainer, logger } = this.options;
    const { batch, payloads, maxStaleness } = leased;
    let trained;
    this.training = batch.version + 1;
    try {
      trained = await trace.part('train', () => trainer.trainBatch.callOne(batch, payloads, maxStaleness));
    } catch (error) {
      if (!(error instanceof ForgeError)) throw error;
      if (error.is('CAPACITY_DEVICE_MEMORY')) {
        await runState.setPhase('failed', error.message);
        return;
      }
      if (!WENT_WRONG.includes(error.code)) throw error;
      this.wentWrong = error.message;
      await this.rollBack(leased, { to: batch.version, isAsked: false }, trace);
      return;
    } finally {
      this.training = null;
    }
    const { lag, ...result } = trained;
    this.tokens += result.tokens;
    if (result.smallerMicroBatches !== null) {
      const message = `step ${batch.version + 1} did not fit into memory: micro-batches have ${result.smallerMicroBatches} tokens at most from here on; trainer.microBatchTokens=${result.smallerMicroBatches} begins with that`;
      logger.warn({ step: batch.version + 1, ...trace.ids }, message);
      await runState.emit({ kind: 'run', state: 'running', message });
    }
    await this.commit(leased, trace, (timing) => {
      const metrics = stepMetrics(result, timing, batch.statistics);
      const { logprob_mismatch: mismatch = 0 } = metrics;
      if (mismatch > MISMATCH_BOUND)
        logger.warn(
          { step: batch.version + 1, mismatch, ...trace.ids },
          'generator and trainer disagree on log-probs',
        );
      return { ...metrics, ...lag };
    });
  }

  /** False when that version can't be gone back to; the asker is told, and nothing has changed. */
  private async rollBack(leased: LeasedBatch, rollback: Rollback, trace: StepTrace): Promise<boolean> {
    const { runState, trainer, logger } = this.options;
    const { batch } = leased;
    const { to, isAsked } = rollback;
    try {
      const hash = await runState.weights.hashOf(to);
      await trace.part('roll back', () => trainer.rollBack.callOne(to, hash));
    } catch (error) {
      if (!isAsked || !(error instanceof ForgeError) || error.retryClass === 'bug') throw error;
      logger.error({ err: error, to }, 'rollback refused');
      await runState.weights.refuseRollback(to, error.message);
      return false;
    }
    const why = isAsked ? 'it was asked for' : (this.wentWrong ?? '');
    const message = `step ${batch.version + 1} goes back to version ${to}: ${why}`;
    logger.warn({ step: batch.version + 1, to, why, ...trace.ids }, 'step rolled back');
    await runState.emit({ kind: 'run', state: 'running', message });
    const untrained = ({ stepMs, waitMs }: Timing): Record<string, number> => ({
      ...batch.statistics,
      'rollback/to': to,
      'time/step_ms': stepMs,
      'time/wait_ms': waitMs,
    });
    await this.commit(leased, trace, untrained, rollback);
    return true;
  }

  /** Publishes the version that a step made, tells its metrics and ends the step. */
  private async commit(
    { batch, payloads }: LeasedBatch,
    trace: StepTrace,
    metricsAt: (timing: Timing) => Record<string, number>,
    rolledBack?: Rollback,
  ): Promise<void> {
    const { runState, trainer, recorder, clock, checkpointEverySteps } = this.options;
    const inUse = await this.versionsInUse();
    const published = await trace.part('publish weights', () => trainer.publishWeights.callOne(inUse), {
      kind: SpanKind.PRODUCER,
    });
    const { traceparent } = trace;
    const announcement = { ...published, ...(traceparent !== undefined && { traceparent }) };
    const { version } = announcement;
    await recorder?.step(batch, payloads, announcement.sha256, rolledBack?.to ?? null);
    const values = metricsAt({ stepMs: clock() - this.doneAt, waitMs: this.waitMs });
    this.doneAt = clock();
    this.waitMs = 0;
    await trace.part('commit', () => runState.commitStep(batch.version, announcement, rolledBack, values));
    trace.committed(version, rolledBack?.to);
    await this.stood(version, values);
    if (version % checkpointEverySteps === 0) await trace.part('checkpoint', () => this.checkpoint());
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
