import { decode, encode, telemetryEventSchema, type TelemetryEvent } from '@forge/contracts';
import { ForgeError } from '@forge/errors';
import type { Redis } from 'ioredis';
import type { RunKeys } from '../keys';
import { implausible, type RunPosition } from '../refused/plausible-event';
import type { StreamReader } from '../redis/stream-reader';

/** An event, or the reason why an entry holds an invalid one. */
export type TelemetryEntry =
  { id: string; event: TelemetryEvent } | { id: string; event: null; fault: ForgeError };

/** Entries read at once. */
const COUNT = 500;

/** Events of services for people. Readers pass over invalid ones. */
export class TelemetryStream {
  private position: RunPosition = { version: 0, admitted: 0, phase: 'running' };

  constructor(
    private readonly redis: Redis,
    private readonly keys: RunKeys,
    private readonly streams: StreamReader,
    /** Entries kept; the oldest are trimmed. */
    private readonly cap: number,
  ) {}

  async write(event: TelemetryEvent): Promise<void> {
    await this.redis.xadd(this.keys.telemetry, 'MAXLEN', '~', this.cap, '*', 'event', encode(event));
  }

  /** Entries after `afterId` ('0' for all that is kept), waiting up to `blockMs` for some. */
  async read(afterId: string, blockMs: number): Promise<TelemetryEntry[]> {
    const entries = await this.streams.readAfter(this.keys.telemetry, afterId, COUNT, blockMs);
    const events: TelemetryEntry[] = [];
    let isFresh = false;
    for (const { id, fields } of entries) {
      try {
        const event = decode(telemetryEventSchema, fields.get('event'), 'telemetry');
        // How far the run is is looked up when an event claims to be ahead of it.
        if (!isFresh && implausible(event, this.position) !== null) {
          this.position = await this.currentPosition();
          isFresh = true;
        }
        const fault = implausible(event, this.position);
        events.push(fault === null ? { id, event } : { id, event: null, fault });
      } catch (error) {
        events.push({ id, event: null, fault: ForgeError.from(error) });
      }
    }
    return events;
  }

  private async currentPosition(): Promise<RunPosition> {
    const [version, admitted, state] = await this.redis.hmget(this.keys.run, 'version', 'nextIndex', 'state');
    return { version: Number(version ?? 0), admitted: Number(admitted ?? 0), phase: state ?? 'failed' };
  }
}
