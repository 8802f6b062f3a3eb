import {
  decode,
  encode,
  invalidMessage,
  weightsAnnouncementSchema,
  type WeightHashes,
  type WeightsAnnouncement,
} from '@forge/contracts';
import { ForgeError } from '@forge/errors';
import type { Redis } from 'ioredis';
import type { RunKeys } from '../keys';
import type { Rejections } from '../refused/rejections';
import * as scripts from '../groups/group-scripts';
import { Script } from '../redis/script';
import type { StreamEntry, StreamReader } from '../redis/stream-reader';

export interface AnnouncedWeights {
  /** Id of the entry, to read after next. */
  id: string;
  announcement: WeightsAnnouncement;
}

/** Use that a policy makes of weights. */
export interface WeightsUse {
  /** The version it generates with; null: none yet. */
  version: number | null;
  /** The version it is reading. */
  reading: number | null;
}

/** A step that took the weights of an earlier version instead of training. */
export interface Rollback {
  to: number;
  /** A request led to it, rather than the step having gone wrong. */
  isAsked: boolean;
}

/** Requests to the trainer besides training. */
export interface Wanted {
  /** A version that a process could not read. */
  publish: number | null;
  /** The version to go back to. */
  rollback: number | null;
  /** Steps in a row that went wrong and were rolled back by themselves. */
  rollbacksInARow: number;
}

/**
 * Asks the trainer to go back to a version at its next step boundary; it stays asked for until the commit that does it.
 * KEYS run, weights requests   ARGV version
 * Returns asked, unknown (the run has no such version), or the state of a run that trains nothing any more.
 */
const askRollback = new Script(`
local h = redis.call('HMGET', KEYS[1], 'state', 'version')
if h[1] ~= 'running' then return h[1] or 'gone' end
if tonumber(ARGV[1]) > tonumber(h[2]) then return 'unknown' end
redis.call('HDEL', KEYS[2], 'refused')
redis.call('HSET', KEYS[2], 'rollback', ARGV[1])
return 'asked'
`);

/**
 * Says that a version can't be gone back to.
 * KEYS weights requests   ARGV version, why
 */
export const refuseRollback = new Script(`
if redis.call('HGET', KEYS[1], 'rollback') ~= ARGV[1] then return end
redis.call('HDEL', KEYS[1], 'rollback')
redis.call('HSET', KEYS[1], 'refused', ARGV[2])
`);

const ANNOUNCEMENT = 'weights announcement';
/** Entries read at once, about as many as the stream holds. */
const WINDOW = 16;

/** The versions of the policy: the newest one announced matters, others are kept while they are used. */
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

  /** The version the run is at. */
  async current(): Promise<number> {
    return Number((await this.redis.hget(this.keys.run, 'version')) ?? 0);
  }

  /** The newest version that was announced. Entries that are invalid, or that no trainer announced, are dropped. */
  async latest(): Promise<AnnouncedWeights | null> {
    for (;;) {
      const entries = await this.streams.newest(this.keys.weights, WINDOW);
      const announced = await this.newestOf(entries);
      if (announced !== null || entries.length === 0) return announced;
    }
  }

  /** The newest version announced after `afterId`, or null when none came within `blockMs`. */
  async next(afterId: string, blockMs: number): Promise<AnnouncedWeights | null> {
    return this.newestOf(await this.streams.readAfter(this.keys.weights, afterId, WINDOW, blockMs));
  }

  /** Says what `user` does with weights, so that they are kept for so long. */
  async use(user: string, use: WeightsUse): Promise<void> {
    await this.redis.hset(this.keys.weightsUsers, user, JSON.stringify(use));
  }

  async leave(user: string): Promise<void> {
    await this.redis.hdel(this.keys.weightsUsers, user);
  }

  /** Uses by user, also of those that died without a word. */
  async users(): Promise<Map<string, WeightsUse>> {
    const all = await this.redis.hgetall(this.keys.weightsUsers);
    return new Map(Object.entries(all).map(([user, text]) => [user, JSON.parse(text) as WeightsUse]));
  }

  /** Hashes of the versions that `live` users generate with or read. */
  async hashesInUse(live: ReadonlySet<string>): Promise<ReadonlySet<string>> {
    const uses = [...(await this.users())].filter(([user]) => live.has(user)).map(([, use]) => use);
    const versions = uses.flatMap(({ version, reading }) => [version, reading].filter((one) => one !== null));
    const hashes = await Promise.all(versions.map((version) => this.hashOf(version)));
    return new Set(hashes.filter((hash) => hash !== null));
  }

  /** Asks the trainer to publish a version again: its blob is damaged or gone. */
  async askAgain(version: number): Promise<void> {
    await this.redis.hset(this.keys.weightsRequests, 'publish', version);
  }

  /** Call before the version that was asked for is published: a process that still lacks it asks again. */
  async takeAsked(): Promise<void> {
    await this.redis.hdel(this.keys.weightsRequests, 'publish');
  }

  async wanted(): Promise<Wanted> {
    const { run, weightsRequests } = this.keys;
    const [[publish, rollback], inARow] = await Promise.all([
      this.redis.hmget(weightsRequests, 'publish', 'rollback'),
      this.redis.hget(run, 'rollbacksInARow'),
    ]);
    const number = (text: string | null | undefined): number | null => (text == null ? null : Number(text));
    return {
      publish: number(publish),
      rollback: number(rollback),
      rollbacksInARow: number(inARow) ?? 0,
    };
  }

  /**
   * Asks the trainer to go back to `version` at its next step boundary. A later call takes the place of an earlier one.
   *
   * @throws {ForgeError} CONFLICT_STATE when the run is over, or never had that version.
   */
  async askRollback(version: number): Promise<void> {
    const { run, weightsRequests } = this.keys;
    const answer = String(await askRollback.run(this.redis, [run, weightsRequests], [version]));
    if (answer === 'asked') return;
    const why = answer === 'unknown' ? `there is no version ${version} yet` : `the run is ${answer}`;
    throw new ForgeError('CONFLICT_STATE', `can't roll back to version ${version}: ${why}`, { version });
  }

  /** Gives up the rollback that was asked for, and says why. */
  async refuseRollback(version: number, why: string): Promise<void> {
    await refuseRollback.run(this.redis, [this.keys.weightsRequests], [version, why]);
  }

  /** Why the last rollback that was asked for was given up; null when it was not. */
  refusedRollback(): Promise<string | null> {
    return this.redis.hget(this.keys.weightsRequests, 'refused');
  }

  /** Picks by version: an announcement that came again or late is not the newest. */
  private async newestOf(entries: readonly StreamEntry[]): Promise<AnnouncedWeights | null> {
    const refused: { id: string; why: ForgeError }[] = [];
    let newest: AnnouncedWeights | null = null;
    for (const { id, fields } of entries) {
      try {
        const announcement = decode(weightsAnnouncementSchema, fields.get('announcement'), ANNOUNCEMENT);
        await this.checkAnnounced(announcement);
        if (newest === null || announcement.version >= newest.announcement.version)
          newest = { id, announcement };
      } catch (error) {
        if (!(error instanceof ForgeError) || error.code !== 'CONTRACT_INVALID_MESSAGE') throw error;
        refused.push({ id, why: error });
      }
    }
    await this.rejections.drop('weights', refused);
    return newest;
  }

  /**
   * The scripts that announce a version enter it first. Records of old versions are forgotten, when newer
   * ones are announced.
   */
  private async checkAnnounced({ version, sha256 }: WeightsAnnouncement): Promise<void> {
    if ((await this.hashOf(version)) === sha256) return;
    throw invalidMessage(ANNOUNCEMENT, 'unknown', `version ${version} of the run has no weights ${sha256}`);
  }

  /** Hash of a version of this run; null where it has none, or forgot it. */
  async hashOf(version: number): Promise<string | null> {
    const record = await this.redis.hget(this.keys.versions, String(version));
    return record === null ? null : (JSON.parse(record) as { weightsHash: string }).weightsHash;
  }

  /**
   * The first of `hashes` that is no version of this run, or has another hash there, in words; null when all are as they
   * were announced. A version that is forgotten is passed over.
   */
  async disagreement(hashes: WeightHashes): Promise<string | null> {
    const versions = Object.keys(hashes);
    if (versions.length === 0) return null;
    const [newest, records] = await Promise.all([
      this.redis.hget(this.keys.run, 'version'),
      this.redis.hmget(this.keys.versions, ...versions),
    ]);
    for (const [i, version] of versions.entries()) {
      const record = records[i] ?? null;
      const found = `version ${version} with weights ${hashes[version]}`;
      if (record === null) {
        if (Number(version) > Number(newest)) return `${found}, but the run is at ${newest}`;
        continue;
      }
      const { weightsHash: expected } = JSON.parse(record) as { weightsHash: string };
      if (hashes[version] !== expected) return `${found}, but that version is ${expected}`;
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
