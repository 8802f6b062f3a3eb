import { batchSchema, decode, invalidMessage, type Batch } from '@forge/contracts';
import { ForgeError } from '@forge/errors';
import type { Redis } from 'ioredis';
import type { RunKeys } from './keys';
import { leasedBound } from './ledger-snapshot';
import type { Rejections } from './rejections';
import type { StreamEntry, StreamReader } from './stream-reader';

export interface LeasedBatch {
  batch: Batch;
  /** Encoded groups in the order of `batch.groups`. */
  payloads: Buffer[];
  /** The bound it was formed under: the lag that its tokens may have, whatever the run is set to meanwhile. */
  maxStaleness: number;
}

/** A reader that meets more entries that are none looks after other things in between. */
const MOST_REFUSED = 64;

/** The formed batches on their way to the trainer. What comes and is none becomes a dead letter. */
export class BatchStream {
  constructor(
    private readonly redis: Redis,
    private readonly keys: RunKeys,
    private readonly streams: StreamReader,
    private readonly rejections: Rejections,
  ) {}

  /** The next batch, one that was handed out before and not committed first; null when there is none yet. */
  async read(consumer: string, blockMs: number): Promise<LeasedBatch | null> {
    const { batches } = this.keys;
    for (let refused = 0; refused < MOST_REFUSED; refused++) {
      const own = await this.streams.readOwn(batches, consumer, 1);
      const [entry] = own.length > 0 ? own : await this.streams.readNew(batches, consumer, 1, blockMs);
      if (entry === undefined) return null;
      const leased = await this.leasedIn(entry);
      if (leased !== null) return leased;
    }
    return null;
  }

  /** The batch in an entry; null, and the entry is gone, when it holds none that was formed by it. */
  private async leasedIn({ id, fields }: StreamEntry): Promise<LeasedBatch | null> {
    const bytes = fields.get('batch');
    try {
      const batch = decode(batchSchema, bytes, 'batch');
      const lease = await this.redis.hget(this.keys.leases, String(batch.step));
      if (lease === null || (JSON.parse(lease) as { entry: string }).entry !== id)
        throw invalidMessage('batch', 'unknown', `no batch of step ${batch.step} was formed by entry ${id}`);
      return { batch, payloads: await this.payloadsOf(batch), maxStaleness: leasedBound(lease) };
    } catch (error) {
      if (!(error instanceof ForgeError) || error.code !== 'CONTRACT_INVALID_MESSAGE') throw error;
      await this.rejections.rejectBatch(id, bytes ?? Buffer.alloc(0), error);
      return null;
    }
  }

  private async payloadsOf({ step, groups }: Batch): Promise<Buffer[]> {
    const indices = groups.map(({ index }) => String(index));
    const payloads = await this.redis.hmgetBuffer(this.keys.payloads, ...indices);
    const missing = indices.filter((_, i) => !payloads[i]);
    if (missing.length === 0) return payloads as Buffer[];
    const message = `batch ${step} lacks the episodes of groups ${missing.join(', ')}`;
    throw new ForgeError('BUG_INVARIANT', message);
  }
}
