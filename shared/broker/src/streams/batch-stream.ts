import {
  batchSchema,
  decode,
  encode,
  invalidMessage,
  type Batch,
  type TelemetryEvent,
  type WeightsAnnouncement,
} from '@forge/contracts';
import { ForgeError } from '@forge/errors';
import type { Redis } from 'ioredis';
import { CONSUMER_GROUP, type RunKeys } from '../keys';
import { leasedBound } from '../groups/ledger-snapshot';
import type { Rejections } from '../refused/rejections';
import * as scripts from '../groups/group-scripts';
import type { StreamEntry, StreamReader } from '../redis/stream-reader';
import { staleEpoch, type Rollback } from './weight-versions';

export interface LeasedBatch {
  batch: Batch;
  /** Encoded groups in the order of `batch.groups`, in shared memory: threads are handed them without a copy. */
  payloads: Buffer[];
  /** The bound it was formed under: the lag that its tokens may have, whatever the run is set to meanwhile. */
  maxStaleness: number;
}

const NOT_FORMED: Readonly<Record<string, string>> = {
  step: 'another batch is due',
  count: 'its groups and the others are not as many as a batch consumes',
  state: 'a group is not buffered or named twice',
};

/** Groups whose episodes are asked for at once: a reply is held whole on both sides, whatever the batch. */
const READ_AT_ONCE = 8;

/** Invalid entries that a reader drops at once before it looks after other things. */
const MOST_REFUSED = 64;

/**
 * The batches from their forming to the commit of their step. An invalid entry becomes a dead letter.
 */
export class BatchStream {
  constructor(
    private readonly redis: Redis,
    private readonly keys: RunKeys,
    private readonly streams: StreamReader,
    private readonly rejections: Rejections,
    /** Entries of telemetry kept. */
    private readonly telemetryCap: number,
  ) {}

  /** The work of `RunState.formBatch`. */
  async form(batch: Batch, others: readonly number[]): Promise<void> {
    const { records, ledger, run, buffer, payloads, leases, batches, curriculum, results } = this.keys;
    const chosen = batch.groups.map(({ index }) => index);
    const keys = [records, ledger, run, buffer, payloads, leases, batches, curriculum, results];
    const args = [batch.version, encode(batch), chosen.length, ...chosen, ...others];
    const result = await scripts.formBatch.run(this.redis, keys, args);
    if (result === 'stale')
      throw new ForgeError('STALE_EPISODE', `batch ${batch.version} holds a group older than maxStaleness`);
    if (result !== 'formed') {
      const why = NOT_FORMED[String(result)] ?? String(result);
      throw new ForgeError('CONFLICT_STATE', `batch ${batch.version} was not formed: ${why}`, {
        version: batch.version,
        groups: chosen.length,
        others: others.length,
      });
    }
  }

  /** The work of `RunState.commitStep`. */
  async commit(
    step: number,
    announcement: WeightsAnnouncement,
    rolledBack: Rollback | undefined,
    metrics: Readonly<Record<string, number>>,
  ): Promise<void> {
    const { records, ledger, run, payloads, leases, batches, weights, signals, versions } = this.keys;
    const keys = [records, ledger, run, payloads, leases, batches, weights, signals, versions];
    const { weightsRequests, telemetry } = this.keys;
    const { epoch, sha256 } = announcement;
    const rollback = [rolledBack?.to ?? '', rolledBack?.isAsked ? 1 : 0];
    const told = encode({ kind: 'step', step: step + 1, values: metrics } satisfies TelemetryEvent);
    const args = [CONSUMER_GROUP, step, epoch, encode(announcement), sha256, ...rollback];
    args.push(told, this.telemetryCap);
    const result = await scripts.commitStep.run(this.redis, [...keys, weightsRequests, telemetry], args);
    if (result === 'stale') throw staleEpoch(step, epoch);
  }

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
      const lease = await this.redis.hget(this.keys.leases, String(batch.version));
      if (lease === null || (JSON.parse(lease) as { entry: string }).entry !== id)
        throw invalidMessage('batch', 'unknown', `no batch ${batch.version} was formed by entry ${id}`);
      return { batch, payloads: await this.payloadsOf(batch), maxStaleness: leasedBound(lease) };
    } catch (error) {
      if (!(error instanceof ForgeError) || error.code !== 'CONTRACT_INVALID_MESSAGE') throw error;
      await this.rejections.rejectBatch(id, bytes ?? Buffer.alloc(0), error);
      return null;
    }
  }

  private async payloadsOf({ version, groups }: Batch): Promise<Buffer[]> {
    const payloads: Buffer[] = [];
    for (let start = 0; start < groups.length; start += READ_AT_ONCE) {
      const indices = groups.slice(start, start + READ_AT_ONCE).map(({ index }) => String(index));
      const found = await this.redis.hmgetBuffer(this.keys.payloads, ...indices);
      for (const [i, payload] of found.entries()) {
        if (payload === null)
          throw new ForgeError('BUG_INVARIANT', `batch ${version} lacks the episodes of group ${indices[i]}`);
        payloads.push(shared(payload));
      }
    }
    return payloads;
  }
}

/** A copy in memory of its own that threads share. */
function shared(bytes: Buffer): Buffer {
  const copy = Buffer.from(new SharedArrayBuffer(bytes.length));
  bytes.copy(copy);
  return copy;
}
