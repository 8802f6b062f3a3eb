import { deadLetterSchema, decode, encode, SCHEMA_VERSION, type DeadLetter } from '@forge/contracts';
import { ForgeError } from '@forge/errors';
import type { Redis } from 'ioredis';
import type { RunKeys } from '../keys';
import { Script } from '../redis/script';
import { LETTERS } from '../groups/group-scripts';

/** Facts about work that failed for good. */
export interface Failure {
  /** Code of `docs/errors.md`. */
  code: string;
  message: string;
  /** Times it was tried. */
  attempts: number;
  /** Work as it came. */
  payload: Buffer | string;
  /** Fault of a message in a word, which refused messages are counted by; left out: by the code. */
  reason?: string;
}

export interface KeptLetter extends DeadLetter {
  id: string;
  /** Time it came, by the clock of Redis. */
  atMs: number;
}

/** Bytes of the payload that are kept. */
const PAYLOAD_CAP = 65_536;

/** The letter of a failure, encoded. */
export function letterOf(
  about: Pick<DeadLetter, 'kind' | 'index'>,
  { code, message, attempts, payload }: Failure,
): Buffer {
  const bytes = Buffer.from(payload as string);
  const kept = bytes.subarray(0, PAYLOAD_CAP);
  const failed = { code, message, attempts, payload: kept, sizeBytes: bytes.length };
  return encode({ schemaVersion: SCHEMA_VERSION.deadLetter, ...about, ...failed } satisfies DeadLetter);
}

/**
 * Keeps a letter that is about no group.
 * KEYS none, run, dead letters, their order   ARGV id, letter, cap on the letters
 */
export const keepLetter = new Script(`${LETTERS}
keep(ARGV[1], ARGV[2], ARGV[3])
`);

/**
 * Puts the sample of a group that was given up back: the next admitted group rolls it out. The letter is gone then.
 * KEYS dead letters, their order, run, records, replays   ARGV id, index, cap on the replays that wait
 * Returns replayed, missing (no such letter, or it was replayed before), forgotten (the group has no record any more),
 * full, or the state of a run that admits nothing any more.
 */
const replayLetter = new Script(`
local state = redis.call('HGET', KEYS[3], 'state')
if state ~= 'running' then return state or 'missing' end
if redis.call('HEXISTS', KEYS[1], ARGV[1]) == 0 then return 'missing' end
local record = redis.call('HGET', KEYS[4], ARGV[2])
if not record then return 'forgotten' end
if redis.call('LLEN', KEYS[5]) >= tonumber(ARGV[3]) then return 'full' end
redis.call('HDEL', KEYS[1], ARGV[1])
redis.call('ZREM', KEYS[2], ARGV[1])
redis.call('RPUSH', KEYS[5], string.match(record, ' o(%d+)') or ARGV[2])
return 'replayed'
`);

/** Work that failed for good, and invalid messages: to be looked at, replayed or thrown away. */
export class DeadLetters {
  constructor(
    private readonly redis: Redis,
    private readonly keys: RunKeys,
    private readonly cap: number,
  ) {}

  /** Keeps a letter about something that is no group; one with the same id is replaced. */
  async keep(id: string, kind: DeadLetter['kind'], failure: Failure): Promise<void> {
    const { run, deadLetters, deadLetterOrder } = this.keys;
    const letter = letterOf({ kind, index: null }, failure);
    await keepLetter.run(this.redis, [run, run, deadLetters, deadLetterOrder], [id, letter, this.cap]);
  }

  /** Oldest first. */
  async list(): Promise<KeptLetter[]> {
    const { deadLetters, deadLetterOrder } = this.keys;
    const order = await this.redis.zrange(deadLetterOrder, '0', '-1', 'WITHSCORES');
    const ids = order.filter((_, i) => i % 2 === 0);
    if (ids.length === 0) return [];
    const letters = await this.redis.hmgetBuffer(deadLetters, ...ids);
    return letters.flatMap((bytes, i) =>
      bytes === null ? [] : [keptLetter(ids[i]!, Number(order[2 * i + 1]), bytes)],
    );
  }

  /** @throws {ForgeError} CONFLICT_STATE when there is no such letter. */
  async get(id: string): Promise<KeptLetter> {
    const { deadLetters, deadLetterOrder } = this.keys;
    const [bytes, atMs] = await Promise.all([
      this.redis.hgetBuffer(deadLetters, id),
      this.redis.zscore(deadLetterOrder, id),
    ]);
    if (bytes === null) throw missing(id);
    return keptLetter(id, Number(atMs), bytes);
  }

  /** Numbers of letters that are kept, were dropped for newer ones, and wait to be admitted again. */
  async counts(): Promise<{ kept: number; dropped: number; waiting: number }> {
    const { run, deadLetters, replays } = this.keys;
    const [kept, dropped, waiting] = await Promise.all([
      this.redis.hlen(deadLetters),
      this.redis.hget(run, 'lettersDropped'),
      this.redis.llen(replays),
    ]);
    return { kept, dropped: Number(dropped ?? 0), waiting };
  }

  /**
   * Puts the work back: the next group that is admitted rolls the same sample out, under an index of its own, so that
   * the ledger and the staleness bound count it as any other. Once: the letter is gone then.
   *
   * @throws {ForgeError} CONFLICT_STATE when there is no such letter, it is about no group, its group is forgotten, or
   *   the run admits nothing any more; CAPACITY_EXCEEDED when too many wait.
   */
  async replay(id: string): Promise<void> {
    const { kind, index } = await this.get(id);
    if (index === null) {
      const why = kind === 'evaluation' ? 'evaluations come again by themselves' : 'it names no group';
      throw new ForgeError('CONFLICT_STATE', `dead letter ${id} can't be replayed: ${why}; discard it`, {
        id,
      });
    }
    const { deadLetters, deadLetterOrder, run, records, replays } = this.keys;
    const keys = [deadLetters, deadLetterOrder, run, records, replays];
    const result = String(await replayLetter.run(this.redis, keys, [id, index, this.cap]));
    if (result === 'replayed') return;
    if (result === 'missing') throw missing(id);
    if (result === 'full') {
      throw new ForgeError('CAPACITY_EXCEEDED', `${this.cap} replayed groups wait for admission already`, {
        id,
      });
    }
    const why = result === 'forgotten' ? `group ${index} is forgotten` : `the run is ${result}`;
    throw new ForgeError('CONFLICT_STATE', `dead letter ${id} can't be replayed: ${why}`, { id, index });
  }

  /** @throws {ForgeError} CONFLICT_STATE when there is no such letter. */
  async discard(id: string): Promise<void> {
    const { deadLetters, deadLetterOrder } = this.keys;
    await this.redis.zrem(deadLetterOrder, id);
    if ((await this.redis.hdel(deadLetters, id)) === 0) throw missing(id);
  }
}

function keptLetter(id: string, atMs: number, bytes: Buffer): KeptLetter {
  return { id, atMs, ...decode(deadLetterSchema, bytes, `dead letter ${id}`) };
}

function missing(id: string): ForgeError {
  return new ForgeError('CONFLICT_STATE', `there is no dead letter ${id}`, { id });
}
