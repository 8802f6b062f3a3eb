import type { Redis } from 'ioredis';
import { PATIENT } from './connection';
import { CONSUMER_GROUP } from './keys';

/** An entry of a stream, values exact to the byte. */
export interface StreamEntry {
  id: string;
  fields: ReadonlyMap<string, Buffer>;
}

type RawEntry = [Buffer, Buffer[] | null];

/** An entry another reader took and did not acknowledge is taken over after so long. */
const CLAIM_IDLE_MS = 10_000;

/** Reads streams. A blocking command holds up its connection, so every stream has one of its own. */
export class StreamReader {
  private readonly connections = new Map<string, Redis>();

  constructor(private readonly redis: Redis) {}

  /** Makes the consumer group of a stream, and the stream. */
  async createGroup(stream: string): Promise<void> {
    try {
      await this.redis.xgroup('CREATE', stream, CONSUMER_GROUP, '0', 'MKSTREAM');
    } catch (error) {
      if (!(error instanceof Error) || !error.message.startsWith('BUSYGROUP')) throw error;
    }
  }

  /** Entries nobody has read yet; waits up to `blockMs` for one, 0 is not at all. */
  async readNew(stream: string, consumer: string, count: number, blockMs: number): Promise<StreamEntry[]> {
    const source = ['STREAMS', stream, '>'] as const;
    const connection = this.connection(stream);
    const reply = await this.withGroup(stream, () =>
      blockMs > 0
        ? connection.xreadgroupBuffer(
            'GROUP',
            CONSUMER_GROUP,
            consumer,
            'COUNT',
            count,
            'BLOCK',
            blockMs,
            ...source,
          )
        : connection.xreadgroupBuffer('GROUP', CONSUMER_GROUP, consumer, 'COUNT', count, ...source),
    );
    return entriesOf(reply);
  }

  /** What this consumer has read and not acknowledged. */
  async readOwn(stream: string, consumer: string, count: number): Promise<StreamEntry[]> {
    const reply = await this.withGroup(stream, () =>
      this.redis.xreadgroupBuffer('GROUP', CONSUMER_GROUP, consumer, 'COUNT', count, 'STREAMS', stream, '0'),
    );
    return entriesOf(reply);
  }

  /** Takes over what a dead reader has read and not acknowledged. */
  async claim(stream: string, consumer: string, count: number): Promise<StreamEntry[]> {
    const reply = await this.withGroup(stream, () =>
      this.connection(stream).callBuffer(
        'XAUTOCLAIM',
        stream,
        CONSUMER_GROUP,
        consumer,
        CLAIM_IDLE_MS,
        '0',
        'COUNT',
        count,
      ),
    );
    return parseEntries((reply as [Buffer, RawEntry[]])[1]);
  }

  /** Entries after an id, whoever read them; waits up to `blockMs` for one, 0 is not at all. */
  async readAfter(stream: string, afterId: string, count: number, blockMs: number): Promise<StreamEntry[]> {
    const source = ['STREAMS', stream, afterId] as const;
    const connection = this.connection(stream);
    return entriesOf(
      await (blockMs > 0
        ? connection.xreadBuffer('COUNT', count, 'BLOCK', blockMs, ...source)
        : connection.xreadBuffer('COUNT', count, ...source)),
    );
  }

  async newest(stream: string): Promise<StreamEntry | null> {
    const reply = await this.redis.xrevrangeBuffer(stream, '+', '-', 'COUNT', 1);
    return parseEntries(reply as RawEntry[])[0] ?? null;
  }

  close(): void {
    for (const connection of this.connections.values()) connection.disconnect();
    this.connections.clear();
  }

  private connection(stream: string): Redis {
    const known = this.connections.get(stream);
    if (known !== undefined) return known;
    const connection = this.redis.duplicate({ ...PATIENT, enableAutoPipelining: false });
    connection.on('error', () => {
      // Reconnects by itself; the command under way goes on then.
    });
    this.connections.set(stream, connection);
    return connection;
  }

  /** Runs a group command; a group lost with a Redis that forgot is made again. */
  private async withGroup<T>(stream: string, command: () => Promise<T>): Promise<T> {
    try {
      return await command();
    } catch (error) {
      if (!(error instanceof Error) || !error.message.startsWith('NOGROUP')) throw error;
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
