import { ForgeError } from '@forge/errors';
import type { Redis } from 'ioredis';
import { letterOf, type Failure } from './dead-letters';
import { CONSUMER_GROUP, type RunKeys } from '../keys';
import { Script } from '../redis/script';
import { LETTERS } from '../groups/group-scripts';

/** Places where messages come in that may be refused: streams, the queue, the HTTP and the actor address of services, and agents. */
export type RejectionPlace =
  'groups' | 'batches' | 'weights' | 'telemetry' | 'spans' | 'rollout' | 'http' | 'calls' | 'gateway';

/** Counts of refused messages by reason, with the words about one of them. */
export interface Refused {
  place: RejectionPlace;
  counts: Readonly<Record<string, number>>;
  /** Words about the newest. */
  message: string;
}

/**
 * Deletes entries of a stream that make no sense, and counts them, each once however many readers refuse it. Where they
 * are work they are acknowledged and kept as letters.
 * KEYS none, run, dead letters, their order, stream, rejected
 * ARGV name of the count, consumer group or '', cap on the letters, then entry, letter or '' ...
 * Returns how many were there.
 */
export const refuse = new Script(`${LETTERS}
local count = 0
for i = 4, #ARGV, 2 do
  if ARGV[2] ~= '' then redis.call('XACK', KEYS[5], ARGV[2], ARGV[i]) end
  if redis.call('XDEL', KEYS[5], ARGV[i]) == 1 then
    count = count + 1
    if ARGV[i + 1] ~= '' then keep('m-' .. ARGV[i], ARGV[i + 1], ARGV[3]) end
  end
end
if count > 0 then redis.call('HINCRBY', KEYS[6], ARGV[1], count) end
return count
`);

/**
 * Messages that were refused, by where and why. What is refused by a script is counted by it; the rest is counted here
 * and added to Redis by `flush`, which a service calls once a second, and logs what it returns: one line for however
 * many there were.
 */
export class Rejections {
  private readonly notAdded = new Map<string, number>();
  private readonly notTold = new Map<RejectionPlace, { counts: Record<string, number>; message: string }>();

  constructor(
    private readonly redis: Redis,
    private readonly keys: RunKeys,
    private readonly maxLetters: number,
  ) {}

  /** Counts one that is dropped, with the reason itself or the error that says it. */
  count(place: RejectionPlace, why: string | ForgeError): void {
    const field = fieldOf(place, why);
    this.notAdded.set(field, (this.notAdded.get(field) ?? 0) + 1);
    this.tell(place, why, 1);
  }

  /** To be said in the log of one that a script has counted. */
  tell(place: RejectionPlace, why: string | ForgeError, count: number): void {
    const told = this.notTold.get(place) ?? { counts: {}, message: '' };
    const reason = reasonOf(why);
    told.counts[reason] = (told.counts[reason] ?? 0) + count;
    told.message = typeof why === 'string' ? why : why.message;
    this.notTold.set(place, told);
  }

  /** Takes entries off a stream without acknowledgements. */
  async drop(
    place: 'weights' | 'telemetry' | 'spans',
    refused: readonly { id: string; why: ForgeError }[],
  ): Promise<void> {
    const byReason = new Map<string, { why: ForgeError; ids: string[] }>();
    for (const { id, why } of refused) {
      const same = byReason.get(reasonOf(why)) ?? { why, ids: [] };
      byReason.set(reasonOf(why), { why, ids: [...same.ids, id] });
    }
    for (const { why, ids } of byReason.values())
      await this.refuse(
        place,
        why,
        '',
        ids.flatMap((id) => [id, '']),
      );
  }

  /** Takes an entry of the batches off its stream; it is kept as a dead letter. */
  async rejectBatch(entryId: string, payload: Buffer, why: ForgeError): Promise<void> {
    const { code, message } = why;
    const failure: Failure = { code, message, attempts: 1, payload };
    const letter = letterOf({ kind: 'message', index: null }, failure);
    await this.refuse('batches', why, CONSUMER_GROUP, [entryId, letter]);
  }

  /** Adds what was counted since the last time; what there is to log. */
  async flush(): Promise<Refused[]> {
    const added = [...this.notAdded];
    this.notAdded.clear();
    const told = [...this.notTold].map(([place, rest]) => ({ place, ...rest }));
    this.notTold.clear();
    await Promise.all(added.map(([field, count]) => this.redis.hincrby(this.keys.rejected, field, count)));
    return told;
  }

  /** All that were refused so far, by `<place>/<reason>`. */
  async totals(): Promise<Record<string, number>> {
    const all = await this.redis.hgetall(this.keys.rejected);
    return Object.fromEntries(Object.entries(all).map(([field, count]) => [field, Number(count)]));
  }

  private async refuse(
    place: 'weights' | 'telemetry' | 'spans' | 'batches',
    why: ForgeError,
    group: string,
    entries: readonly (string | Buffer)[],
  ): Promise<void> {
    const { run, deadLetters, deadLetterOrder, rejected } = this.keys;
    const keys = [run, run, deadLetters, deadLetterOrder, this.keys[place], rejected];
    const args = [fieldOf(place, why), group, this.maxLetters, ...entries];
    this.tell(place, why, Number(await refuse.run(this.redis, keys, args)));
  }
}

/** Its field in the hash. */
export function fieldOf(place: RejectionPlace, why: string | ForgeError): string {
  return `${place}/${reasonOf(why)}`;
}

/** Fault of a message in a word, or else the code of the error. */
function reasonOf(why: string | ForgeError): string {
  if (typeof why === 'string') return why;
  return typeof why.details.reason === 'string' ? why.details.reason : why.code;
}
