import type { RunState } from '@forge/broker';
import type { TelemetryEvent } from '@forge/contracts';
import { createLogUpdate } from 'log-update';
import { PlainLines } from './plain-lines';
import { advance, emptyProgress, type RunProgress } from './progress';
import { headerNow, renderLive, type RunHeader } from './view';

const BLOCK_MS = 500;
/** Steps in a row without an informative group that are worth a word. */
const BARREN_STEPS = 3;

type EvaluationEvent = Extract<TelemetryEvent, { kind: 'evaluation' }>;

/** Follows the telemetry of a run and shows it: redrawn in place on a terminal, line by line elsewhere. */
export class RunMonitor {
  private progress: RunProgress = emptyProgress();
  private isStopped = false;
  private hasSaidFailures = false;
  private hasSaidUnjudged = false;
  private barrenSteps = 0;
  private readonly plain: PlainLines;
  private readonly live: ((text: string) => void) & { done?: () => void };

  constructor(
    private readonly runState: Pick<RunState, 'readTelemetry'>,
    private readonly header: RunHeader,
    private readonly output: NodeJS.WriteStream,
  ) {
    this.live = createLogUpdate(output);
    this.plain = new PlainLines(header, Date.now());
  }

  get current(): RunProgress {
    return this.progress;
  }

  /** Runs until the run has said its last word or `stop`. Events up to `resumedAt`, if any, were shown. */
  async follow(resumedAt: string | null = null): Promise<void> {
    let seen = '0';
    while (!this.isStopped && !['finished', 'failed', 'interrupted'].includes(this.progress.state)) {
      let shown = this.progress;
      for (const { id, event } of await this.runState.readTelemetry(seen, BLOCK_MS)) {
        seen = id;
        // Invalid events are the coordinator's to refuse and to count.
        if (event === null) continue;
        if (resumedAt !== null && !isAfter(id, resumedAt)) {
          if (event.kind !== 'run') shown = this.progress = advance(this.progress, event, null);
          continue;
        }
        const before = this.progress;
        this.progress = advance(before, event, Date.now());
        if (event.kind === 'control' && this.progress.change !== null) this.say(this.progress.change);
        if (event.kind === 'step') this.sayBarren(event.values['groups/informative_share']);
        if (event.kind === 'evaluation') this.sayFailures(event, before);
      }
      this.show(shown);
    }
    this.live.done?.();
  }

  stop(): void {
    this.isStopped = true;
  }

  /** A line about the run that stays. */
  say(message: string): void {
    if (this.output.isTTY) {
      this.live('');
      this.live.done?.();
    }
    this.output.write(`${message}\n`);
  }

  /** Says once that held-out samples fail, and once that some are not judged: the same ones do in every evaluation. */
  private sayFailures({ failed = 0, unjudged = 0 }: EvaluationEvent, before: RunProgress): void {
    const list = `forge dead-letter list ${this.header.runId}`;
    const samples = (count: number): string =>
      count === 1 ? 'a held-out sample' : `${count} held-out samples`;
    if (failed > unjudged && !this.hasSaidFailures) {
      this.hasSaidFailures = true;
      const wrong = failed - unjudged;
      const counts = wrong === 1 ? 'counts' : 'count';
      this.say(`${samples(wrong)} could not be answered or judged and ${counts} as wrong: ${list}`);
    }
    if (unjudged > 0 && !this.hasSaidUnjudged) {
      this.hasSaidUnjudged = true;
      this.say(`what judges failed for ${samples(unjudged)}, which the accuracy leaves out: ${list}`);
    }
    const { evaluations } = this.progress;
    const newest = evaluations.at(-1);
    if (evaluations.length === before.evaluations.length || newest === undefined) return;
    if (newest.unjudged > 0.5)
      this.say(
        `most held-out samples of version ${newest.version} were not judged: its accuracy decides nothing`,
      );
  }

  /** Says when nothing informative is left to draw, again after it was. */
  private sayBarren(informativeShare: number | undefined): void {
    this.barrenSteps = informativeShare === 0 ? this.barrenSteps + 1 : 0;
    if (this.barrenSteps !== BARREN_STEPS) return;
    this.say(
      `no group of the last ${BARREN_STEPS} steps has anything to teach, all completions of a prompt are worth the same: take other prompts, more completions of each (algorithm.groupSize) or a finer reward`,
    );
  }

  private show(before: RunProgress): void {
    if (this.output.isTTY) {
      const header = headerNow(this.header, this.progress);
      this.live(renderLive(header, this.progress, Date.now(), this.output.columns));
      return;
    }
    for (const line of this.plain.after(before, this.progress, Date.now())) this.output.write(`${line}\n`);
  }
}

/** Ids of stream entries: milliseconds and a number. */
function isAfter(id: string, other: string): boolean {
  const [ms = 0, number = 0] = id.split('-').map(Number);
  const [otherMs = 0, otherNumber = 0] = other.split('-').map(Number);
  return ms > otherMs || (ms === otherMs && number > otherNumber);
}
