import {
  decode,
  encode,
  invalidMessage,
  weightsAnnouncementSchema,
  type WeightsAnnouncement,
} from '@forge/contracts';
import { ForgeError } from '@forge/errors';
import type { Redis } from 'ioredis';
import type { RunKeys } from './keys';
import type { Rejections } from './rejections';
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
    private readonly rejections: Rejections,
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

  /** What makes no sense, or was never announced by a trainer, is dropped here and below. */
  async latest(): Promise<AnnouncedWeights | null> {
    for (;;) {
      const entry = await this.streams.newest(this.keys.weights);
      if (entry === null) return null;
      const announced = await this.newestOf([entry]);
      if (announced !== null) return announced;
    }
  }

  /** The newest weights announced after `afterId`, or null when none came within `blockMs`. */
  async next(afterId: string, blockMs: number): Promise<AnnouncedWeights | null> {
    return this.newestOf(await this.streams.readAfter(this.keys.weights, afterId, 16, blockMs));
  }

  /** Drops an announcement whose weights are not what it says. */
  async refuse(id: string, why: ForgeError): Promise<void> {
    await this.rejections.drop('weights', [{ id, why }]);
  }

  private async newestOf(entries: readonly StreamEntry[]): Promise<AnnouncedWeights | null> {
    const refused: { id: string; why: ForgeError }[] = [];
    let newest: AnnouncedWeights | null = null;
    for (const { id, fields } of entries) {
      try {
        const bytes = fields.get('announcement');
        const announcement = decode(weightsAnnouncementSchema, bytes, 'weights announcement');
        await this.checkKnown(announcement);
        newest = { id, announcement };
      } catch (error) {
        if (!(error instanceof ForgeError) || error.code !== 'CONTRACT_INVALID_MESSAGE') throw error;
        refused.push({ id, why: error });
      }
    }
    await this.rejections.drop('weights', refused);
    return newest;
  }

  /** The script that announces a version enters it: what says otherwise comes from somebody else. */
  private async checkKnown({ version, epoch, sha256 }: WeightsAnnouncement): Promise<void> {
    const { run, versions } = this.keys;
    const [current, record] = await Promise.all([
      this.redis.hget(run, 'version'),
      this.redis.hget(versions, String(version)),
    ]);
    const known = record === null ? null : (JSON.parse(record) as { weights: string; epoch: number });
    // The record of an old version may be forgotten.
    if (version <= Number(current ?? 0) && (known?.weights ?? sha256) === sha256) return;
    throw invalidMessage('weights announcement', 'unknown', `version ${version} of epoch ${epoch} is none`);
  }
}

export function staleEpoch(step: number, epoch: number): ForgeError {
  return new ForgeError('STALE_EPOCH', `step ${step} of epoch ${epoch} is not the one that is due`, {
    step,
    epoch,
  });
}
