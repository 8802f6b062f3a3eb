import { within } from '@forge/errors';
import type { RunState } from '@forge/broker';
import type { Logger } from '@forge/telemetry';
import type { RunSituation } from './run-situation';
import { waitingFor } from './waiting-for';

export interface WatchdogOptions {
  runState: Pick<RunState, 'setWaitingFor'>;
  /** Where the run stands now. */
  look: () => Promise<RunSituation>;
  /** How long nothing may change before the run counts as waiting. */
  stallMs: number;
  /** Milliseconds. */
  clock: () => number;
  logger: Logger;
}

/** A Redis that takes longer to say where the run stands is away. */
const ANSWERS_WITHIN_MS = 2_000;

/** Says what a run waits for once nothing has changed for a while, and that it goes on once something has. */
export class Watchdog {
  private stand = '';
  private since: number;
  private said: string | null = null;
  private looking: Promise<RunSituation> | null = null;

  constructor(private readonly options: WatchdogOptions) {
    this.since = options.clock();
  }

  /** Looks at the run; to be called again and again. */
  async turn(): Promise<void> {
    const { runState, stallMs, clock, logger } = this.options;
    const situation = await this.look();
    if (situation !== null) {
      const { phase, isPaused, version, nextBatch, ledger, held, isModelSaved } = situation;
      const stand = JSON.stringify([phase, isPaused, version, nextBatch, ledger, held, isModelSaved]);
      if (stand !== this.stand) {
        this.stand = stand;
        this.since = clock();
      }
    }
    const waitedMs = clock() - this.since;
    const what = waitedMs >= stallMs ? waitingFor(situation) : null;
    if (what === this.said) return;
    this.said = what;
    if (what === null) logger.info('the run goes on');
    else logger.warn({ waitedMs: Math.round(waitedMs) }, `the run waits for ${what}`);
    if (situation !== null) await runState.setWaitingFor(what);
  }

  /** Null while Redis does not answer; the question is asked once and not again until then. */
  private async look(): Promise<RunSituation | null> {
    this.looking ??= this.options.look().finally(() => (this.looking = null));
    return within(ANSWERS_WITHIN_MS, this.looking, () => null);
  }
}
