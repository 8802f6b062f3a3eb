import type { LedgerSnapshot } from '@forge/broker';
import type { TraceOrigin } from '@forge/contracts';
import { endRollout } from '@forge/telemetry';

const OVER = ['trained', 'discarded'];

/** Where the traces of rollouts begin, and the end of those that nobody else will end when the run does. */
export class OpenRollouts {
  private readonly origins = new Map<number, TraceOrigin>();

  /** `limit`: rollouts that can be open at a time. */
  constructor(
    private readonly limit: number,
    /** Undefined when nothing is traced. */
    private readonly begin: (index: number, admittedAtMs: number) => TraceOrigin | undefined,
  ) {}

  /** The same whenever it is asked for; the first time is that of the admission. */
  origin(index: number): TraceOrigin | undefined {
    const origin = this.origins.get(index) ?? this.begin(index, Date.now());
    if (origin === undefined) return undefined;
    this.origins.set(index, origin);
    for (const oldest of this.origins.keys()) {
      if (this.origins.size <= this.limit) break;
      this.origins.delete(oldest);
    }
    return origin;
  }

  /** Ends the traces of those that are under way for good. One that an earlier coordinator has admitted began after `sinceMs`. */
  end({ groups }: Pick<LedgerSnapshot, 'groups'>, sinceMs: number): void {
    for (const [index, { state }] of groups) {
      if (OVER.includes(state)) continue;
      const origin = this.origins.get(index) ?? this.begin(index, sinceMs);
      endRollout(origin, { 'forge.rollout.index': index, 'forge.rollout.end': `unfinished (${state})` });
    }
  }
}
