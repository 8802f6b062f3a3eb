import {
  decode,
  encode,
  weightsAnnouncementSchema,
  type WeightHashes,
  type WeightsAnnouncement,
} from '@forge/contracts';
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

/** What a policy does with weights. */
export interface WeightsUse {
  /** The version it generates with; null: none yet. */
  version: number | null;
  /** The version it is reading. */
  reading: number | null;
}

/** The versions of the policy: the newest one announced matters, others are kept while they are used. */
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

  /** Says what `user` does with weights, so that they are kept for so long. */
  async use(user: string, use: WeightsUse): Promise<void> {
    await this.redis.hset(this.keys.weightsUsers, user, JSON.stringify(use));
  }

  async leave(user: string): Promise<void> {
    await this.redis.hdel(this.keys.weightsUsers, user);
  }

  /** Who uses what, also those who died without a word. */
  async users(): Promise<Map<string, WeightsUse>> {
    const all = await this.redis.hgetall(this.keys.weightsUsers);
    return new Map(Object.entries(all).map(([user, text]) => [user, JSON.parse(text) as WeightsUse]));
  }

  /** Asks the trainer to publish a version again: its blob is damaged or gone. */
  async askAgain(version: number): Promise<void> {
    await this.redis.hset(this.keys.weightsRequests, 'publish', version);
  }

  /** The version somebody asked for since the last call, null when nobody did. Whoever still lacks it asks again. */
  async takeAsked(): Promise<number | null> {
    const version = await this.redis.hget(this.keys.weightsRequests, 'publish');
    if (version === null) return null;
    await this.redis.hdel(this.keys.weightsRequests, 'publish');
    return Number(version);
  }

  /**
   * The first of `weights` that is no version of this run, or has another hash there, in words; null when all are as they
   * were announced. Of a version that is forgotten nothing can be said.
   */
  async disagreement(weights: WeightHashes): Promise<string | null> {
    const versions = Object.keys(weights);
    if (versions.length === 0) return null;
    const [newest, records] = await Promise.all([
      this.redis.hget(this.keys.run, 'version'),
      this.redis.hmget(this.keys.versions, ...versions),
    ]);
    for (const [i, version] of versions.entries()) {
      const record = records[i] ?? null;
      const found = `version ${version} with weights ${weights[version]}`;
      if (record === null) {
        if (Number(version) > Number(newest)) return `${found}, but the run is at ${newest}`;
        continue;
      }
      const { weights: expected } = JSON.parse(record) as { weights: string };
      if (weights[version] !== expected) return `${found}, but that version is ${expected}`;
    }
    return null;
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
