import { setImmediate } from 'node:timers/promises';
import type { Redis } from 'ioredis';
import { openAnother } from './open-connection';
import { CONSUMER_GROUP } from '../keys';

/** An entry of a stream, values exact to the byte. */
export interface StreamEntry {
  id: string;
  fields: ReadonlyMap<string, Buffer>;
}

type RawEntry = [Buffer, Buffer[] | null];

/** Replies to a read of a group that is not there, or that went away, alone or with its stream, while it waited. */
const LOST_GROUP = /^(NOGROUP|UNBLOCKED)/;

/**
 * Reads streams. A blocking command holds up its connection, so every stream has one of its own. After `close` every
 * read finds nothing, also one that waits.
 */
export class StreamReader {
  private readonly connections = new Map<string, Redis>();
  private isClosed = false;

  /** `claimIdleMs`: an entry another reader took and did not acknowledge is taken over after so long. */
  constructor(
    private readonly redis: Redis,
    private readonly claimIdleMs: number,
  ) {}

  /** Entries that no consumer has read yet; waits up to `blockMs` for one, 0 is not at all. */
  async readNew(stream: string, consumer: string, count: number, blockMs: number): Promise<StreamEntry[]> {
    const group = ['GROUP', CONSUMER_GROUP, consumer, 'COUNT', count] as const;
    const source = ['STREAMS', stream, '>'] as const;
    const reply = await this.read(stream, (connection) =>
      blockMs > 0
        ? connection.xreadgroupBuffer(...group, 'BLOCK', blockMs, ...source)
        : connection.xreadgroupBuffer(...group, ...source),
    );
    return entriesOf(reply);
  }

  /** Entries that this consumer has read and not acknowledged. */
  async readOwn(stream: string, consumer: string, count: number): Promise<StreamEntry[]> {
    const reply = await this.read(stream, (connection) =>
      connection.xreadgroupBuffer('GROUP', CONSUMER_GROUP, consumer, 'COUNT', count, 'STREAMS', stream, '0'),
    );
    return entriesOf(reply);
  }

  /** Takes over entries that a dead reader has read and not acknowledged. */
  async claim(stream: string, consumer: string, count: number): Promise<StreamEntry[]> {
    const args = [stream, CONSUMER_GROUP, consumer, this.claimIdleMs, '0', 'COUNT', count];
    const reply = await this.read(stream, (connection) => connection.callBuffer('XAUTOCLAIM', ...args));
    return parseEntries((reply as [Buffer, RawEntry[]] | null)?.[1] ?? []);
  }

  /** Entries after an id, also those that others have read; waits up to `blockMs` for one, 0 is not at all. */
  async readAfter(stream: string, afterId: string, count: number, blockMs: number): Promise<StreamEntry[]> {
    const source = ['STREAMS', stream, afterId] as const;
    const reply = await this.read(stream, (connection) =>
      blockMs > 0
        ? connection.xreadBuffer('COUNT', count, 'BLOCK', blockMs, ...source)
        : connection.xreadBuffer('COUNT', count, ...source),
    );
    return entriesOf(reply);
  }

  /** The newest entries, oldest first. */
  async newest(stream: string, count: number): Promise<StreamEntry[]> {
    const reply = await this.redis.xrevrangeBuffer(stream, '+', '-', 'COUNT', count);
    return parseEntries(reply as RawEntry[]).reverse();
  }

  close(): void {
    this.isClosed = true;
    for (const connection of this.connections.values()) connection.disconnect();
    this.connections.clear();
  }

  private connection(stream: string): Redis {
    const known = this.connections.get(stream);
    if (known !== undefined) return known;
    const connection = openAnother(this.redis);
    connection.on('error', () => {
      // Reconnects by itself; the command under way goes on then.
    });
    this.connections.set(stream, connection);
    return connection;
  }

  /** The reply to a read, or null once this reader is closed. */
  private async read<T>(stream: string, command: (connection: Redis) => Promise<T>): Promise<T | null> {
    if (!this.isClosed) {
      try {
        return await this.withGroup(stream, () => command(this.connection(stream)));
      } catch (error) {
        if (!this.isClosed) throw error;
      }
    }
    // A loop that goes on reading must not keep everything else from running.
    await setImmediate();
    return null;
  }

  /** Makes the consumer group of a stream, and the stream. */
  private async createGroup(stream: string): Promise<void> {
    try {
      await this.redis.xgroup('CREATE', stream, CONSUMER_GROUP, '0', 'MKSTREAM');
    } catch (error) {
      if (!(error instanceof Error) || !error.message.startsWith('BUSYGROUP')) throw error;
    }
  }

  /** Runs a group command; a group lost with a Redis that forgot is made again. */
  private async withGroup<T>(stream: string, command: () => Promise<T>): Promise<T> {
    try {
      return await command();
    } catch (error) {
      if (!(error instanceof Error) || !LOST_GROUP.test(error.message)) throw error;
      await this.createGroup(stream);
      return command();
    }
  }
}

/** Entries that were trimmed while pending come without fields and are left out. */
function parseEntries(raw: readonly RawEntry[]): StreamEntry[] {
  return raw.flatMap(([id, pairs]) => {
    if (pairs === null) return [];
    const fields = new Map<string, Buffer>();
    for (let i = 0; i + 1 < pairs.length; i += 2) fields.set(pairs[i]!.toString(), pairs[i + 1]!);
    return [{ id: id.toString(), fields }];
  });
}

/** The entries in the reply to a read of one stream. */
function entriesOf(reply: unknown): StreamEntry[] {
  const streams = reply as [Buffer, RawEntry[]][] | null;
  return parseEntries(streams?.[0]?.[1] ?? []);
}
