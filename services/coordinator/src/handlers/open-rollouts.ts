import type { LedgerSnapshot } from '@forge/broker';
import type { TraceOrigin } from '@forge/contracts';
import { endRollout } from '@forge/telemetry';

const OVER = ['trained', 'discarded'];

/** The rollouts whose traces nobody else will end when the run does. */
export class OpenRollouts {
  private readonly origins = new Map<number, TraceOrigin>();

  /** `limit`: rollouts that can be open at a time. */
  constructor(
    private readonly limit: number,
    /** Where the trace of one begins that an earlier coordinator has admitted. */
    private readonly originOf: (index: number) => TraceOrigin | undefined,
  ) {}

  admitted(index: number, origin: TraceOrigin): void {
    this.origins.set(index, origin);
    for (const oldest of this.origins.keys()) {
      if (this.origins.size <= this.limit) break;
      this.origins.delete(oldest);
    }
  }

  /** Ends the traces of those that are under way for good. */
  end({ groups }: Pick<LedgerSnapshot, 'groups'>): void {
    for (const [index, { state }] of groups) {
      if (OVER.includes(state)) continue;
      const origin = this.origins.get(index) ?? this.originOf(index);
      endRollout(origin, { 'forge.rollout.index': index, 'forge.rollout.end': `unfinished (${state})` });
    }
  }
}
