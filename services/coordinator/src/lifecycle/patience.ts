/** How many times the longest silence of the same stage is clearly longer. */
const CLEARLY_LONGER = 3;
/** Steps whose silences count: the one under way, and those before it. */
const STEPS_REMEMBERED = 4;

interface Silence {
  step: number;
  stage: string;
  ms: number;
}

/** How long a run at work may be silent, by the silences between signs of progress in its newest steps. */
export class Patience {
  private silences: Silence[] = [];
  private step: number | null = null;
  private stepAtMs = 0;

  /** `leastMs`: a shorter silence is never too long. */
  constructor(private readonly leastMs: number) {}

  /** A silence of `ms` in a stage of a step ended at `nowMs`, with a sign of progress. */
  ended(silence: Silence): void {
    this.silences.push(silence);
    const oldest = silence.step - STEPS_REMEMBERED + 1;
    this.silences = longestOfEach(this.silences.filter(({ step }) => step >= oldest));
  }

  /** Notes the step under way. */
  at(step: number, nowMs: number): void {
    if (this.step === step) return;
    this.step = step;
    this.stepAtMs = nowMs;
  }

  /**
   * The silence since `sinceMs` that is too long in a stage. A stage that was never silent before may be so for as long as the
   * step had taken until then: what generates for minutes may need minutes for its first micro-batch.
   */
  limitMs(stage: string, sinceMs: number): number {
    const known = this.silences.filter((silence) => silence.stage === stage).map(({ ms }) => ms);
    const ownMs = known.length > 0 ? CLEARLY_LONGER * Math.max(...known) : sinceMs - this.stepAtMs;
    return Math.max(this.leastMs, ownMs);
  }
}

/** The longest silence of each stage of each step. */
function longestOfEach(silences: readonly Silence[]): Silence[] {
  const longest = new Map<string, Silence>();
  for (const silence of silences) {
    const key = `${silence.step} ${silence.stage}`;
    if (silence.ms > (longest.get(key)?.ms ?? -1)) longest.set(key, silence);
  }
  return [...longest.values()];
}
