import { setTimeout as sleep } from 'node:timers/promises';
import { ForgeError } from '@forge/errors';
import type { Redis } from 'ioredis';
import { mailboxKeys } from '../keys';
import { Script } from '../redis/script';
import { StreamReader } from '../redis/stream-reader';

/** A piece of a channel between two mailboxes. */
export interface Letter {
  /** Name of the mailbox that answers go to. */
  from: string;
  channel: string;
  /** Counts the letters of a channel in one direction from 0: one that comes twice is known by it. -1: none was given. */
  sequence: number;
  bytes: Buffer;
}

/** An owner that did not say so for this long is gone. */
const ALIVE_MS = 900;
const HEARTBEAT_MS = 250;
/** A mailbox whose owner is gone vanishes so long after the last letter. */
const KEEP_MS = 60_000;
/** Letters that a mailbox holds. */
const MAX_LETTERS = 256;
/** Letters that are taken out at once. */
const BATCH = 64;
const BLOCK_MS = 1_000;
const LOOK_AGAIN_MS = 50;

/**
 * Puts a letter into a mailbox.
 * KEYS mailbox, owner   ARGV bound, expiry in ms, from, channel, sequence, bytes
 * Returns sent, full, or gone (it has no owner).
 */
const send = new Script(`
if redis.call('EXISTS', KEYS[2]) == 0 then return 'gone' end
if redis.call('XLEN', KEYS[1]) >= tonumber(ARGV[1]) then return 'full' end
redis.call('XADD', KEYS[1], '*', 'from', ARGV[3], 'channel', ARGV[4], 'sequence', ARGV[5], 'bytes', ARGV[6])
redis.call('PEXPIRE', KEYS[1], ARGV[2])
return 'sent'
`);

/**
 * Takes a mailbox without an owner, and not the letters to its last one: their channels are unknown by now.
 * KEYS mailbox, owner   ARGV new owner, expiry in ms
 * Returns 1, or 0 when it has an owner.
 */
const take = new Script(`
if not redis.call('SET', KEYS[2], ARGV[1], 'PX', ARGV[2], 'NX') then return 0 end
redis.call('DEL', KEYS[1])
return 1
`);

/**
 * A stream that one process reads, and others write to. It is read without a consumer group: there is one reader, which
 * remembers where it was, so that a reply lost with its connection is simply read again.
 */
export class Mailbox {
  private readonly reader: StreamReader;
  private readonly heartbeat: NodeJS.Timeout;
  private readonly stream: string;
  private lastId = '0';
  private isClosed = false;

  private constructor(
    private readonly redis: Redis,
    readonly name: string,
    private readonly owner: string,
  ) {
    this.stream = mailboxKeys(name).letters;
    this.reader = new StreamReader(redis, KEEP_MS);
    this.heartbeat = setInterval(() => void this.sayAlive(), HEARTBEAT_MS);
  }

  /**
   * Takes a mailbox; `owner` tells this process from others that had or will have it.
   *
   * @throws {ForgeError} CONFIG_INVALID when another process has it.
   */
  static async open(redis: Redis, name: string, owner: string): Promise<Mailbox> {
    const keys = mailboxKeys(name);
    const giveUpAt = performance.now() + 1.5 * ALIVE_MS;
    // The last owner may have died just now.
    while ((await take.run(redis, [keys.letters, keys.owner], [owner, ALIVE_MS])) !== 1) {
      if (performance.now() > giveUpAt) {
        const message = `the mailbox ${name} belongs to another process; choose another name`;
        throw new ForgeError('CONFIG_INVALID', message, { name });
      }
      await sleep(LOOK_AGAIN_MS);
    }
    return new Mailbox(redis, name, owner);
  }

  /** Sent, or why not: the mailbox is full, or has no owner. */
  async send(
    to: string,
    { channel, sequence, bytes }: Omit<Letter, 'from'>,
  ): Promise<'sent' | 'full' | 'gone'> {
    const keys = mailboxKeys(to);
    const args = [MAX_LETTERS, KEEP_MS, this.name, channel, sequence, bytes];
    return (await send.run(this.redis, [keys.letters, keys.owner], args)) as 'sent' | 'full' | 'gone';
  }

  /** The next letters, in order, a letter that was sent again twice; none after a while, or once it is closed. */
  async receive(): Promise<Letter[]> {
    const entries = await this.reader.readAfter(this.stream, this.lastId, BATCH, BLOCK_MS);
    const last = entries.at(-1);
    if (last === undefined) return [];
    this.lastId = last.id;
    const [milliseconds, count] = last.id.split('-') as [string, string];
    // Trim up to and with the last; an owner that dies before that leaves nothing that another would read.
    void this.redis
      .xtrim(this.stream, 'MINID', `${milliseconds}-${Number(count) + 1}`)
      .catch(() => undefined);
    return entries.map(({ fields }) => ({
      from: textOf(fields, 'from'),
      channel: textOf(fields, 'channel'),
      sequence: /^\d{1,15}$/.test(textOf(fields, 'sequence')) ? Number(textOf(fields, 'sequence')) : -1,
      bytes: fields.get('bytes') ?? Buffer.alloc(0),
    }));
  }

  get closed(): boolean {
    return this.isClosed;
  }

  /** Owner of a mailbox now; null when it has none. */
  ownerOf(name: string): Promise<string | null> {
    return this.redis.get(mailboxKeys(name).owner);
  }

  async close(): Promise<void> {
    if (this.isClosed) return;
    this.isClosed = true;
    clearInterval(this.heartbeat);
    this.reader.close();
    const keys = mailboxKeys(this.name);
    await this.redis.del(keys.owner, keys.letters).catch(() => undefined);
  }

  private async sayAlive(): Promise<void> {
    // Redis may be away; the next time comes soon.
    await this.redis.set(mailboxKeys(this.name).owner, this.owner, 'PX', ALIVE_MS).catch(() => undefined);
  }
}

/** A short text; empty where there is none. */
function textOf(fields: ReadonlyMap<string, Buffer>, name: string): string {
  return fields.get(name)?.toString('latin1', 0, 512) ?? '';
}
