import { randomUUID } from 'node:crypto';
import { encode, type TelemetryEvent } from '@forge/contracts';
import { ForgeError } from '@forge/errors';
import type { Redis } from 'ioredis';
import { admissionOf, pendingAdmission, pendingVersion, type Admission } from '../groups/admission';
import { originNote, type GroupOrigin } from '../groups/group-record';
import * as scripts from '../groups/group-scripts';
import { CONSUMER_GROUP, type RunKeys } from '../keys';
import type { StreamReader } from '../redis/stream-reader';
import { letterOf, type Failure } from '../refused/dead-letters';
import { fieldOf } from '../refused/rejections';
import type { RunBounds } from './run-bounds';

/** Facts that the replay buffer keeps of a group besides its episodes. */
export interface BufferedGroup {
  index: number;
  /** Version of the group's oldest token. */
  version: number;
  /** Whether it has a gradient to give, for a curriculum. */
  informative?: boolean;
  /** Its rollouts and the sum of their rewards, for a curriculum. */
  sums?: { rollouts: number; reward: number };
  [field: string]: unknown;
}

export interface StreamedGroup {
  entryId: string;
  index: number;
  payload: Buffer;
}

/** The groups of a run from their admission to the buffer, or to their end before it. */
export class GroupFlow {
  private readonly instance = randomUUID();
  private calls = 0;

  constructor(
    private readonly redis: Redis,
    private readonly keys: RunKeys,
    private readonly streams: StreamReader,
    private readonly bounds: RunBounds,
  ) {}

  /** The work of `RunState.admit`. */
  async admit(limit: number, coordinator: number): Promise<Admission[]> {
    const { run, ledger, records, pending, versions, replays } = this.keys;
    const { inFlight, held, history } = this.bounds;
    // The same however often it is sent.
    const call = `${this.instance}-${++this.calls}`;
    const answer = await scripts.admit.run(
      this.redis,
      [run, ledger, records, pending, versions, replays],
      [limit, inFlight, call, history, held, coordinator],
    );
    if (answer === 'stale') throw staleCoordinator(coordinator);
    const flat = answer as (number | string)[];
    return Array.from({ length: flat.length / 3 }, (_, i) =>
      admissionOf(flat[3 * i]!, flat[3 * i + 1]!, String(flat[3 * i + 2])),
    );
  }

  /** The work of `RunState.pendingGroups`. */
  async pendingGroups(): Promise<Admission[]> {
    const all = await this.redis.hgetall(this.keys.pending);
    return Object.entries(all)
      .map(([index, stored]) => pendingAdmission(index, stored))
      .sort((a, b) => a.index - b.index);
  }

  /** The work of `RunState.beginGroup`. */
  async beginGroup(index: number, oldestVersion: number): Promise<void> {
    await scripts.beginGroup.run(this.redis, [this.keys.pending], [index, oldestVersion]);
  }

  /** The work of `RunState.versionsInFlight`. */
  async versionsInFlight(): Promise<number[]> {
    const all = await this.redis.hvals(this.keys.pending);
    return all.map(pendingVersion).filter((version) => version !== null);
  }

  /** The work of `RunState.publishGroup`. */
  async publishGroup(
    index: number,
    payload: Buffer,
    origin?: GroupOrigin,
    event?: TelemetryEvent,
  ): Promise<'accepted' | 'duplicate' | 'full'> {
    const { records, pending, groups, telemetry } = this.keys;
    const { groups: cap, telemetry: telemetryCap } = this.bounds;
    const note = origin === undefined ? '' : originNote(origin);
    const told = event === undefined ? '' : encode(event);
    const result = await scripts.publishGroup.run(
      this.redis,
      [records, pending, groups, telemetry, ...this.ofSessions(index)],
      [index, payload, cap, note, told, telemetryCap],
    );
    return result as 'accepted' | 'duplicate' | 'full';
  }

  /** The work of `RunState.readGroups`. */
  async readGroups(consumer: string, count: number, blockMs: number): Promise<StreamedGroup[]> {
    const { groups } = this.keys;
    let entries = await this.streams.readOwn(groups, consumer, count);
    if (entries.length === 0) entries = await this.streams.claim(groups, consumer, count);
    if (entries.length === 0) entries = await this.streams.readNew(groups, consumer, count, blockMs);
    return entries.map(({ id, fields }) => ({
      entryId: id,
      index: Number(fields.get('index')?.toString() ?? Number.NaN),
      payload: fields.get('payload') ?? Buffer.alloc(0),
    }));
  }

  /** The work of `RunState.storeGroup`. */
  async storeGroup(
    entryId: string,
    group: BufferedGroup,
    payload: Buffer,
  ): Promise<'stored' | 'duplicate' | 'unknown'> {
    const { records, ledger, groups, buffer, payloads, signals } = this.keys;
    const keys = [records, ledger, groups, buffer, payloads, signals];
    const args = [CONSUMER_GROUP, entryId, group.index, JSON.stringify(group), payload];
    return (await scripts.storeGroup.run(this.redis, keys, args)) as 'stored' | 'duplicate' | 'unknown';
  }

  /** The work of `RunState.rejectGroup`. */
  async rejectGroup(
    { entryId, index }: { entryId?: string; index: number | null },
    reason: string,
    failure: Failure,
  ): Promise<boolean> {
    const kind = entryId === undefined ? 'rollout' : 'message';
    const id = entryId === undefined ? `r-${index ?? ''}` : `m-${entryId}`;
    const letter = letterOf({ kind, index }, failure);
    const count = fieldOf('groups', failure.reason ?? failure.code);
    const args = [
      id,
      letter,
      this.bounds.deadLetters,
      CONSUMER_GROUP,
      entryId ?? '',
      index ?? '',
      reason,
      count,
    ];
    return (await scripts.rejectGroup.run(this.redis, this.toGiveUp(index), args)) === 1;
  }

  /** The work of `RunState.dropStale`. */
  async dropStale(index: number): Promise<boolean> {
    const args = ['', '', 0, CONSUMER_GROUP, '', index, 'stale', ''];
    return (await scripts.rejectGroup.run(this.redis, this.toGiveUp(index), args)) === 1;
  }

  private toGiveUp(index: number | null): string[] {
    const { records, run, deadLetters, deadLetterOrder, ledger, pending, groups, signals, rejected } =
      this.keys;
    const keys = [records, run, deadLetters, deadLetterOrder, ledger, pending, groups, signals, rejected];
    return [...keys, ...this.ofSessions(index)];
  }

  private ofSessions(index: number | null): string[] {
    const { sessions, sessionKeys, sessionKeysOver, sessionOffers } = this.keys;
    return [sessions(String(index ?? '')), sessionKeys, sessionKeysOver, sessionOffers];
  }

  /** The work of `RunState.bufferedGroups`. */
  async bufferedGroups(): Promise<BufferedGroup[]> {
    const all = await this.redis.hvals(this.keys.buffer);
    return all.map((text) => JSON.parse(text) as BufferedGroup).sort((a, b) => a.index - b.index);
  }

  /** The work of `RunState.bufferedCount`. */
  bufferedCount(): Promise<number> {
    return this.redis.hlen(this.keys.buffer);
  }

  /** The work of `RunState.discard`. */
  async discard(indices: readonly number[], reason: string, failure?: Failure): Promise<number> {
    if (indices.length === 0) return 0;
    const { records, run, deadLetters, deadLetterOrder, ledger, buffer, payloads, signals } = this.keys;
    const keys = [records, run, deadLetters, deadLetterOrder, ledger, buffer, payloads, signals];
    const letters =
      failure === undefined ? [] : indices.map((index) => letterOf({ kind: 'message', index }, failure));
    const args = [reason, this.bounds.deadLetters, indices.length, ...indices, ...letters];
    return (await scripts.discard.run(this.redis, keys, args)) as number;
  }

  /** The work of `RunState.refill`. */
  async refill(step: number, indices: readonly number[], most: number): Promise<number> {
    if (indices.length === 0) return 0;
    const { records, ledger, run, buffer, payloads, signals, curriculum } = this.keys;
    const keys = [records, ledger, run, buffer, payloads, signals, curriculum];
    return (await scripts.refill.run(this.redis, keys, [step, most, ...indices])) as number;
  }

  /** The work of `RunState.refilled`. */
  async refilled(): Promise<number> {
    return Number((await this.redis.hget(this.keys.run, 'refilled')) ?? 0);
  }
}

/** The error for a coordinator that another one has replaced. */
export function staleCoordinator(coordinator: number): ForgeError {
  return new ForgeError('STALE_EPOCH', `coordinator ${coordinator} was replaced by another one`, {
    coordinator,
  });
}
