import { setTimeout as sleep } from 'node:timers/promises';
import type { LeasedBatch, RunState } from '@forge/broker';
import type { ActorMesh } from '@forge/actors';
import type { Trainer } from '@forge/rl-actors';
import type { Logger } from '@forge/telemetry';
import { stepMetrics } from '../domain/step-metrics';

export interface TrainingLoopOptions {
  runState: Pick<RunState, 'phase' | 'version' | 'readBatch' | 'commitStep' | 'emit'> & {
    weights: Pick<RunState['weights'], 'announce' | 'takeAsked' | 'users'>;
  };
  trainer: Pick<ActorMesh<Trainer>, 'trainBatch' | 'pushWeights' | 'save' | 'checkpoint'>;
  /** Names of the policies that are alive, among those that use weights. */
  livePolicies: () => Promise<ReadonlySet<string>>;
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

  /** Trains the next batch, waiting up to `blockMs` for it; once the run stops, there is a model to save instead. */
  async turn(blockMs: number): Promise<void> {
    const { runState, steps, clock } = this.options;
    const [{ phase }, version] = await Promise.all([runState.phase(), runState.version()]);
    if (phase !== 'running' || version >= steps) {
      await this.save();
      await sleep(blockMs);
      return;
    }
    await this.publishAgain(version);
    const waitedFrom = clock();
    const leased = await runState.readBatch(CONSUMER, blockMs);
    this.waitMs += clock() - waitedFrom;
    if (leased) await this.train(leased);
  }

  /** Saves the final model, once. */
  async save(): Promise<void> {
    if (this.isSaved) return;
    await this.options.trainer.save.callOne('model');
    this.isSaved = true;
    this.options.logger.info('final model saved');
    await this.options.runState.emit({ kind: 'run', state: 'saved' });
  }

  /** Writes and announces the current version anew when somebody could not read it. */
  private async publishAgain(version: number): Promise<void> {
    const { runState, trainer, logger } = this.options;
    if ((await runState.weights.takeAsked()) !== version) return;
    logger.warn({ version }, 'weights are published again: somebody could not read them');
    await runState.weights.announce(await trainer.pushWeights.callOne(await this.versionsInUse()));
  }

  /** Versions that live policies generate with or read. */
  private async versionsInUse(): Promise<number[]> {
    const { runState, livePolicies } = this.options;
    const [users, live] = await Promise.all([runState.weights.users(), livePolicies()]);
    return [...users].flatMap(([user, { version, reading }]) =>
      live.has(user) ? [version, reading].filter((one) => one !== null) : [],
    );
  }

  private async train({ batch, payloads }: LeasedBatch): Promise<void> {
    const { runState, trainer, clock, checkpointEverySteps, logger } = this.options;
    const { lag, ...result } = await trainer.trainBatch.callOne(batch, payloads);
    this.busyMs += result.durationMs;
    this.tokens += result.tokens;
    const announcement = await trainer.pushWeights.callOne(await this.versionsInUse());
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
