import type { RunState } from '@forge/broker';
import { createLogUpdate } from 'log-update';
import { advance, emptyProgress, type RunProgress } from './progress';
import { renderLive, renderPlain, type RunHeader } from './view';

const BLOCK_MS = 500;
const PLAIN_EVERY_STEPS = 10;

/** Follows the telemetry of a run and shows it: redrawn in place on a terminal, line by line elsewhere. */
export class RunMonitor {
  private progress: RunProgress = emptyProgress();
  private isStopped = false;
  private readonly live: ((text: string) => void) & { done?: () => void };

  constructor(
    private readonly runState: Pick<RunState, 'readTelemetry'>,
    private readonly header: RunHeader,
    private readonly output: NodeJS.WriteStream,
  ) {
    this.live = createLogUpdate(output);
  }

  get current(): RunProgress {
    return this.progress;
  }

  /** Runs until the run has said its last word or `stop`. */
  async follow(): Promise<void> {
    let seen = '0';
    while (!this.isStopped && !['finished', 'failed', 'interrupted'].includes(this.progress.state)) {
      const before = this.progress;
      for (const { id, event } of await this.runState.readTelemetry(seen, BLOCK_MS)) {
        seen = id;
        this.progress = advance(this.progress, event, Date.now());
      }
      this.show(before);
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

  private show(before: RunProgress): void {
    if (this.output.isTTY) {
      this.live(renderLive(this.header, this.progress, Date.now(), this.output.columns));
      return;
    }
    const { waitingFor, message, state } = this.progress;
    if (state === 'running' && message !== null && message !== before.message)
      this.output.write(`${message}\n`);
    if (waitingFor !== before.waitingFor)
      this.output.write(waitingFor === null ? 'the run goes on\n' : `waiting for ${waitingFor}\n`);
    const passed = (step: number): number => Math.floor(step / PLAIN_EVERY_STEPS);
    const isNews =
      passed(this.progress.step) > passed(before.step) ||
      this.progress.evaluations.length > before.evaluations.length;
    if (isNews) this.output.write(`${renderPlain(this.header, this.progress, Date.now())}\n`);
  }
}
