import { decode, encode, weightsAnnouncementSchema, type WeightsAnnouncement } from '@forge/contracts';
import { ForgeError } from '@forge/errors';
import type { Redis } from 'ioredis';
import type { RunKeys } from './keys';
import * as scripts from './scripts';
import type { StreamEntry, StreamReader } from './stream-reader';

export interface AnnouncedWeights {
  /** Of the entry; what to read after next. */
  id: string;
  announcement: WeightsAnnouncement;
}

/** The versions of the policy as they are announced: the newest matters. */
export class WeightVersions {
  constructor(
    private readonly redis: Redis,
    private readonly keys: RunKeys,
    private readonly streams: StreamReader,
  ) {}

  /**
   * Announces the weights a trainer starts from.
   *
   * @throws {ForgeError} STALE_EPOCH when another trainer took over.
   */
  async announce(announcement: WeightsAnnouncement): Promise<void> {
    const { run, weights, signals, versions } = this.keys;
    const { epoch, version, sha256 } = announcement;
    const args = [epoch, version, encode(announcement), sha256];
    const result = await scripts.announceWeights.run(this.redis, [run, weights, signals, versions], args);
    if (result === 'stale') throw staleEpoch(version, epoch);
  }

  async latest(): Promise<AnnouncedWeights | null> {
    const entry = await this.streams.newest(this.keys.weights);
    return entry === null ? null : announcementOf(entry);
  }

  /** The newest weights announced after `afterId`, or null when none came within `blockMs`. */
  async next(afterId: string, blockMs: number): Promise<AnnouncedWeights | null> {
    const entry = (await this.streams.readAfter(this.keys.weights, afterId, 16, blockMs)).at(-1);
    return entry === undefined ? null : announcementOf(entry);
  }
}

export function staleEpoch(step: number, epoch: number): ForgeError {
  return new ForgeError('STALE_EPOCH', `step ${step} of epoch ${epoch} is not the one that is due`, {
    step,
    epoch,
  });
}

function announcementOf({ id, fields }: StreamEntry): AnnouncedWeights {
  const bytes = fields.get('announcement')!;
  return { id, announcement: decode(weightsAnnouncementSchema, bytes, 'weights announcement') };
}
