import { ActivityClock } from '@forge/telemetry';

/** Work of the first rank, by the lines it says: `waits/batch`, `busy`, and `trained N` with the tokens of a step. */
export class TorchWork {
  private readonly activity: ActivityClock;
  private end: () => void = () => undefined;
  private tokens = 0;

  constructor(clock?: () => number) {
    this.activity = new ActivityClock(['busy', 'waits/batch'], clock);
  }

  hear(line: string): void {
    const [, tokens] = /^trained (\d+)$/.exec(line) ?? [];
    if (tokens !== undefined) this.tokens += Number(tokens);
    if (line !== 'busy' && line !== 'waits/batch') return;
    this.end();
    this.end = this.activity.begin(line);
  }

  totals(): Record<string, number> {
    return { ...this.activity.totals(), tokens: this.tokens };
  }
}
