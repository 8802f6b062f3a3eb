import type { LedgerSnapshot } from '@forge/broker';
import type { TraceOrigin } from '@forge/contracts';
import { endRollout } from '@forge/telemetry';

const OVER = ['trained', 'discarded'];

/** Where the traces of rollouts begin, and the end of those still open when the run ends. */
export class OpenRollouts {
  /** When each was admitted. */
  private readonly admitted = new Map<number, number>();

  /** `limit`: rollouts that can be open at a time. */
  constructor(
    private readonly limit: number,
    /** Undefined when nothing is traced. */
    private readonly begin: (index: number, admittedAtMs: number) => TraceOrigin | undefined,
  ) {}

  /** The same whenever it is asked for; the first time is that of the admission. */
  origin(index: number): TraceOrigin | undefined {
    const admittedAtMs = this.admitted.get(index) ?? Date.now();
    const origin = this.begin(index, admittedAtMs);
    if (origin === undefined) return undefined;
    this.admitted.set(index, admittedAtMs);
    for (const oldest of this.admitted.keys()) {
      if (this.admitted.size <= this.limit) break;
      this.admitted.delete(oldest);
    }
    return origin;
  }

  /** Ends the traces of those that are under way for good. One that an earlier coordinator has admitted began after `sinceMs`. */
  end({ groups }: Pick<LedgerSnapshot, 'groups'>, sinceMs: number): void {
    for (const [index, { state }] of groups) {
      if (OVER.includes(state)) continue;
      const origin = this.begin(index, this.admitted.get(index) ?? sinceMs);
      endRollout(origin, { 'forge.rollout.index': index, 'forge.rollout.end': `unfinished (${state})` });
    }
  }
}
