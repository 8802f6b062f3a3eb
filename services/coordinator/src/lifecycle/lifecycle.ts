import { setTimeout as sleep } from 'node:timers/promises';
import type { Registry, RolloutQueue, RunState } from '@forge/broker';
import type { Task } from '@forge/rl';
import { ActivityClock, type Logger } from '@forge/telemetry';
import type { Evaluations } from '../evaluations';
import type { StepWork } from '../step-work';
import { GroupAdmission } from './admission';
import { EvaluationSchedule } from './evaluation-schedule';
import { LostWork } from './lost-work';
import type { OpenRollouts } from './open-rollouts';
import { runEnd } from './run-end';
import { RunJobs } from './run-jobs';
import { readSituation } from './run-situation';
import type { SampleDraws } from './sample-draws';
import { StepTeller } from './step-teller';
import { Watchdog } from './watchdog';

export interface LifecycleOptions {
  runState: Pick<
    RunState,
    | 'phase'
    | 'setPhase'
    | 'version'
    | 'nextBatch'
    | 'ledger'
    | 'ledgerSnapshot'
    | 'admit'
    | 'pendingGroups'
    | 'emit'
    | 'waitForSignal'
    | 'waitingFor'
    | 'setWaitingFor'
    | 'setProgress'
  > & { controls: Pick<RunState['controls'], 'steering'> };
  queue: Pick<RolloutQueue, 'add' | 'addAgain' | 'counts'>;
  registry: Pick<Registry, 'list'>;
  task: Task;
  evaluations: Evaluations;
  /** The reports of policies and trainer about the step under way. */
  reported: StepWork;
  evaluation: { everySteps: number; samples: number };
  candidatesPerBatch: number;
  /** Tokens that the completions of one batch's candidates can have at most. */
  tokensPerBatch: number;
  /** Services the run needs. */
  services: readonly string[];
  /** The least silence that counts as a stall. */
  stallMs: number;
  /** The number of this coordinator of the run: only the newest admits. */
  coordinator: number;
  isModelSaved: () => boolean;
  openRollouts: Pick<OpenRollouts, 'origin' | 'end'>;
  /** Draws of a curriculum; null where indices say which sample is which. */
  draws: Pick<SampleDraws, 'placed'> | null;
  logger: Logger;
}

export type RunResult = 'finished' | 'failed';

/** How long nothing may happen before the coordinator looks by itself. */
const POLL_MS = 250;
const WATCH_MS = 1_000;

/**
 * Moves a run from admission to its end: running (groups are admitted, evaluations scheduled), stopping (the trainer
 * saves, the final version is evaluated), finished.
 */
export class Lifecycle {
  private readonly schedule: EvaluationSchedule;
  private readonly jobs: RunJobs;
  private readonly admission: GroupAdmission;
  private readonly lostWork: LostWork;
  private readonly watchdog: Watchdog;
  private readonly teller: StepTeller;
  private readonly activity = new ActivityClock(['busy']);
  private turns: Promise<void> = Promise.resolve();
  private result: RunResult | null = null;

  private constructor(private readonly options: LifecycleOptions) {
    const { runState, queue, registry, task, evaluations, reported, logger } = options;
    const { candidatesPerBatch, services, tokensPerBatch } = options;
    const clock = () => performance.now();
    const everySteps = task.heldOut.length === 0 ? 0 : options.evaluation.everySteps;
    const schedule = (this.schedule = new EvaluationSchedule(everySteps, evaluations));
    const jobs = (this.jobs = new RunJobs(task, options.evaluation.samples));
    const admission = (this.admission = new GroupAdmission({ ...options, jobs, schedule }));
    this.lostWork = new LostWork({ runState, queue, jobs, admission, schedule, logger });
    this.watchdog = new Watchdog({
      runState,
      look: () =>
        readSituation(
          { runState, queue, registry },
          {
            ...{ candidatesPerBatch, services, reported },
            held: admission.heldIndices.length,
            isModelSaved: options.isModelSaved(),
          },
        ),
      stallMs: options.stallMs,
      clock,
      logger,
    });
    this.teller = new StepTeller({ runState, reported, tokensPerBatch, clock });
  }

  /** A lifecycle that goes on where an earlier coordinator of the run left off. */
  static async open(options: LifecycleOptions): Promise<Lifecycle> {
    const lifecycle = new Lifecycle(options);
    await lifecycle.admission.resume();
    // A predecessor may have died while the run waited.
    const { runState } = options;
    if ((await runState.waitingFor()) !== null) await runState.setWaitingFor(null);
    return lifecycle;
  }

  /** Follows the run until it ends or `stopping` fires; how it ended, null where it goes on. */
  async follow(stopping: AbortSignal): Promise<RunResult | null> {
    const goesOn = () => !stopping.aborted && this.result === null;
    let seen = '0';
    while (goesOn()) {
      await this.advance();
      seen = await this.options.runState.waitForSignal(seen, POLL_MS);
    }
    return this.result;
  }

  /** Watches for stalls and lost work and tells how far the step is, until `over` fires. */
  async watch(over: AbortSignal): Promise<void> {
    while (!over.aborted) {
      const situation = await this.watchdog.turn();
      if (situation !== null) await this.teller.turn(situation);
      await this.inTurn(() => this.requeueLost());
      await sleep(WATCH_MS, undefined, { signal: over }).catch(() => undefined);
    }
  }

  /** Does what is due now, after what is under way. */
  advance(): Promise<void> {
    return this.inTurn(async () => {
      this.result ??= await this.activity.during('busy', () => this.turn());
    });
  }

  /** Does what is due now; how the run ended, once it has. */
  async turn(): Promise<RunResult | null> {
    const { phase } = await this.options.runState.phase();
    if (phase === 'running') return this.go();
    if (phase === 'stopping') return this.finish();
    return phase;
  }

  requeueLost(): Promise<void> {
    return this.lostWork.requeue();
  }

  /**
   * Says the last word of the run, once everything else is written. `startedAtMs`: of the run.
   * `interrupted`: it may go on later.
   */
  async conclude(state: RunResult | 'interrupted', startedAtMs: number): Promise<void> {
    const { runState, openRollouts } = this.options;
    if (state === 'finished') {
      openRollouts.end(await runState.ledgerSnapshot(), startedAtMs);
      await runState.setPhase('finished');
    }
    const { message } = await runState.phase();
    await runState.emit({ kind: 'run', state, ...(message === null ? {} : { message }) });
  }

  totals(): Record<string, number> {
    return this.activity.totals();
  }

  private inTurn(act: () => Promise<void>): Promise<void> {
    return (this.turns = this.turns.then(act));
  }

  private async go(): Promise<null> {
    const { runState, candidatesPerBatch, logger } = this.options;
    const [version, ledger, steering] = await Promise.all([
      runState.version(),
      runState.ledger(),
      runState.controls.steering(),
    ]);
    const goals = { ...steering, candidatesPerBatch };
    const evaluations = [...this.options.evaluations.results];
    const end = runEnd(goals, { version, evaluations, ledger });
    if (end) {
      logger.info(end, 'run ends');
      await runState.setPhase(end.phase, end.message);
      await runState.emit({ kind: 'run', state: end.phase, message: end.message });
      return null;
    }
    await this.evaluate(version, false);
    await this.admission.admit();
    await this.admission.release(evaluations, version, steering.maxStaleness);
    return null;
  }

  /** The final version is known once the trainer has saved it. */
  private async finish(): Promise<'finished' | null> {
    const { runState, isModelSaved } = this.options;
    if (!isModelSaved()) return null;
    const version = await runState.version();
    await this.evaluate(version, true);
    return this.schedule.isDone(version) ? 'finished' : null;
  }

  private async evaluate(version: number, final: boolean): Promise<void> {
    if (this.schedule.next(version, final) !== null)
      await this.options.queue.add(this.jobs.evaluation(version));
  }
}
