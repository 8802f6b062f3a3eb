import { stepUnderWay, type RunProgress } from './progress';
import { headerNow, renderPlain, renderPlainStep, type RunHeader } from './view';

/** A line is written every so many steps, and for each step that is slower than so. */
const EVERY_STEPS = 10;
const STEP_MS = 10_000;
/** How often a slow step is told of while it goes on. */
const PROGRESS_MS = 30_000;

/** The run as lines for logs and pipes. */
export class PlainLines {
  private writtenAtMs: number;

  constructor(
    private readonly header: RunHeader,
    nowMs: number,
  ) {
    this.writtenAtMs = nowMs;
  }

  /** The lines to write now that `before` has become `progress`. */
  after(before: RunProgress, progress: RunProgress, nowMs: number): string[] {
    const { waitingFor, message, state } = progress;
    const lines: string[] = [];
    if (state === 'running' && message !== null && message !== before.message) lines.push(message);
    if (waitingFor !== before.waitingFor)
      lines.push(waitingFor === null ? 'the run goes on' : `waiting for ${waitingFor}`);
    const steps = this.aboutSteps(before, progress, nowMs);
    return steps === null ? lines : [...lines, steps];
  }

  private aboutSteps(before: RunProgress, progress: RunProgress, nowMs: number): string | null {
    const header = headerNow(this.header, progress);
    const silentMs = nowMs - this.writtenAtMs;
    const passed = (step: number): number => Math.floor(step / EVERY_STEPS);
    const isNews =
      passed(progress.step) > passed(before.step) ||
      (progress.step > before.step && silentMs >= STEP_MS) ||
      progress.evaluations.length > before.evaluations.length;
    const current = stepUnderWay(progress, nowMs);
    if (!isNews && (current === null || silentMs < PROGRESS_MS)) return null;
    this.writtenAtMs = nowMs;
    return isNews ? renderPlain(header, progress, nowMs) : renderPlainStep(header, current!);
  }
}
