import type { RunState } from '@forge/broker';
import { within } from '@forge/errors';
import type { Logger } from '@forge/telemetry';
import { Patience } from './patience';
import type { RunSituation } from './run-situation';
import { waitingFor } from './waiting-for';

export interface WatchdogOptions {
  runState: Pick<RunState, 'setWaitingFor'>;
  /** Where the run stands now. */
  look: () => Promise<RunSituation>;
  /** The least silence that counts as a stall. */
  stallMs: number;
  /** Time in milliseconds. */
  clock: () => number;
  logger: Logger;
}

/** A Redis that takes longer to say where the run stands is away. */
const ANSWERS_WITHIN_MS = 2_000;

/**
 * Says what a run waits for once nothing has moved for clearly longer than the pace of its step, and that it goes on once
 * something has.
 */
export class Watchdog {
  private readonly patience: Patience;
  private situation: RunSituation | null = null;
  private stand = '';
  private since: number;
  /** When the services that are to go on were found at work; null while one is missing. */
  private atWorkSince: number | null = null;
  private said: string | null = null;
  private looking: Promise<RunSituation> | null = null;

  constructor(private readonly options: WatchdogOptions) {
    this.since = options.clock();
    this.patience = new Patience(options.stallMs);
  }

  /** Looks at the run; to be called again and again. Where it stands, null while Redis does not answer. */
  async turn(): Promise<RunSituation | null> {
    const { runState, clock, logger } = this.options;
    const situation = await this.look();
    if (situation !== null) this.compare(situation);
    const what = this.stall(situation);
    if (what === this.said) return situation;
    this.said = what;
    const waitedMs = Math.round(clock() - this.since);
    if (what === null) logger.info('the run goes on');
    else logger.warn({ waitedMs }, `the run waits for ${what}`);
    if (situation !== null) await runState.setWaitingFor(what);
    return situation;
  }

  /** Ends the silence where the run has moved. */
  private compare(situation: RunSituation): void {
    const stand = standOf(situation);
    if (stand === this.stand) return;
    const nowMs = this.options.clock();
    const before = this.situation;
    // A service that was missing says nothing about the pace of one that works.
    if (before !== null && waitingFor(before).isAtWork)
      this.patience.ended({ step: before.version, stage: stageOf(before), ms: nowMs - this.since });
    this.patience.at(situation.version, nowMs);
    this.situation = situation;
    this.stand = stand;
    this.since = nowMs;
  }

  /** The thing a run waits for once its silence is too long, null before. */
  private stall(situation: RunSituation | null): string | null {
    const { clock, stallMs } = this.options;
    const nowMs = clock();
    const wait = waitingFor(situation);
    if (!wait.isAtWork || situation === null) {
      this.atWorkSince = null;
      return nowMs - this.since < stallMs ? null : wait.for;
    }
    // A service that has just come back has been silent since then.
    this.atWorkSince ??= nowMs;
    const sinceMs = Math.max(this.since, this.atWorkSince);
    return nowMs - sinceMs < this.patience.limitMs(stageOf(situation), sinceMs) ? null : wait.for;
  }

  /** Null while Redis does not answer; the question is asked once and not again until then. */
  private async look(): Promise<RunSituation | null> {
    this.looking ??= this.options.look().finally(() => (this.looking = null));
    return within(ANSWERS_WITHIN_MS, this.looking, () => null);
  }
}

/** All that moves while a run goes on: it is silent while this stays the same. */
function standOf({
  phase,
  isPaused,
  version,
  nextBatch,
  ledger,
  held,
  isModelSaved,
  work,
}: RunSituation): string {
  return JSON.stringify([phase, isPaused, version, nextBatch, ledger, held, isModelSaved, work]);
}

function stageOf({ phase, version, nextBatch }: RunSituation): string {
  if (phase !== 'running') return phase;
  return nextBatch > version ? 'training' : 'rollouts';
}
