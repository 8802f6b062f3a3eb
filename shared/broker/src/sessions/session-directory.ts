import { randomUUID } from 'node:crypto';
import {
  check,
  decode,
  encode,
  keptCallSchema,
  sampleSchema,
  type KeptCall,
  type Sample,
} from '@forge/contracts';
import { ForgeError } from '@forge/errors';
import type { Redis } from 'ioredis';
import type { RunKeys } from '../keys';
import { hashOfKey, newSessionKey } from './session-key';
import * as scripts from './session-scripts';

/** A session of an agent: one rollout of a group. */
export interface OpenSession {
  /** `<group>-<rollout>`. */
  sessionId: string;
  /** Index of its group, or the name of a rollout of an evaluation. */
  group: string;
  rollout: number;
  /** The policy replica whose `AgentSessions` answers its calls; empty once the group is published or given up. */
  replica: string;
  state: 'waiting' | 'open' | 'ended';
  /** Reward that the agent gave; null: none so far. */
  reward: number | null;
}

/** The rollouts of a group, handed to an agent. */
export interface TakenGroup {
  group: string;
  sample: Sample;
  /** One for each rollout; `key` is the secret of its agent, and is kept as a hash only. */
  sessions: { sessionId: string; key: string }[];
}

/** A group that an attempt at its job makes with agents. */
export interface OwnedGroup {
  group: string;
  sample: Sample;
  replica: string;
  /** Names the attempt: a later one fences it off. */
  owner: string;
}

/** Standing of the sessions of a group. */
export interface GroupStanding {
  /** Since it was taken; null: it waits. */
  takenForMs: number | null;
  sessions: { hasEnded: boolean; reward: number | null }[];
}

export type SessionVerdict = 'kept' | 'over' | 'unknown';

const IS_INDEX = /^\d+$/;
/** Offers read at once: of any sample, and of one that is looked for among all. */
const OFFERS_READ = 16;
const OFFERS_SEARCHED = 10_000;

/** The sessions of agents, and the calls they made: all that must outlive a gateway and a policy. */
export class SessionDirectory {
  constructor(
    private readonly redis: Redis,
    private readonly keys: RunKeys,
  ) {}

  /**
   * Offers a group of `size` rollouts to agents elsewhere. One that an agent has taken stays taken, with the calls that are kept;
   * from now on they are this owner's.
   *
   * @throws {ForgeError} CANCELLED when the group is not in flight any more.
   */
  async offer(size: number, { group, sample, replica, owner }: OwnedGroup): Promise<void> {
    const { sessionOffers, records } = this.keys;
    const args = [group, offerOf(group, sample.id), JSON.stringify(sample), size, replica, owner];
    const keys = [this.keys.sessions(group), sessionOffers, records];
    if ((await scripts.offer.run(this.redis, keys, args)) !== 1) throw notInFlight(group);
  }

  /**
   * Makes the sessions of a group whose agents are started with new keys, which it returns, one for each of `size` rollouts. Keys,
   * calls and rewards of agents before are void.
   *
   * @throws {ForgeError} CANCELLED when it is a group that is not in flight any more.
   */
  async open(size: number, { group, sample, replica, owner }: OwnedGroup): Promise<string[]> {
    const secrets = Array.from({ length: size }, newSessionKey);
    const index = IS_INDEX.test(group) ? group : '';
    const args = [index, group, JSON.stringify(sample), replica, owner, ...secrets.map(hashOfKey)];
    const keys = [...this.retired(group), this.keys.records];
    if ((await scripts.open.run(this.redis, keys, args)) !== 1) throw notInFlight(group);
    return secrets;
  }

  /**
   * Takes the oldest group of so many rollouts that waits, of that sample where one is named; null: none waits. `secrets`
   * become the keys of its agents: taken with the same ones again, it is the same group, while that is in flight.
   */
  async take(
    groupSize: number,
    sampleId?: string,
    secrets: readonly string[] = Array.from({ length: groupSize }, newSessionKey),
  ): Promise<TakenGroup | null> {
    const before = await this.redis.hget(this.keys.sessionKeys, hashOfKey(secrets[0]!));
    const again = before === null ? null : await this.takeGroup(placeOf(before)!.group, secrets);
    if (again !== null) return again;
    for await (const group of this.waiting(sampleId)) {
      const taken = await this.takeGroup(group, secrets);
      if (taken !== null) return taken;
    }
    return null;
  }

  /** Takes a group; null: it does not wait any more, or has another number of rollouts. */
  private async takeGroup(group: string, secrets: readonly string[]): Promise<TakenGroup | null> {
    const { sessionKeys, sessionOffers } = this.keys;
    const keys = [this.keys.sessions(group), sessionKeys, sessionOffers];
    const sample = await scripts.take.run(this.redis, keys, [group, ...secrets.map(hashOfKey)]);
    if (typeof sample !== 'string') return null;
    return {
      group,
      sample: check(sampleSchema, JSON.parse(sample), `sample of group ${group}`),
      sessions: secrets.map((key, rollout) => ({ sessionId: `${group}-${rollout}`, key })),
    };
  }

  /** Groups that wait, oldest first, of a sample where one is named. The first is nearly always taken. */
  private async *waiting(sampleId?: string): AsyncGenerator<string> {
    const count = sampleId === undefined ? OFFERS_READ : OFFERS_SEARCHED;
    const groupOf = (offered: string): string => offered.slice(0, offered.indexOf(' '));
    for (let after = '-inf'; ;) {
      const page = await this.redis.zrangebyscore(this.keys.sessionOffers, after, '+inf', 'LIMIT', 0, count);
      for (const offered of page) {
        const group = groupOf(offered);
        if (sampleId === undefined || offered === offerOf(group, sampleId)) yield group;
      }
      if (page.length < count) return;
      after = `(${groupOf(page.at(-1)!)}`;
    }
  }

  /** The session of a key (`hashOfKey`); ended where its group is over, or another agent has its place; null: no such key. */
  async byKey(keyHash: string): Promise<OpenSession | null> {
    const sessionId = await this.redis.hget(this.keys.sessionKeys, keyHash);
    if (sessionId === null) return null;
    const { group, rollout } = placeOf(sessionId)!;
    const over: OpenSession = { sessionId, group, rollout, replica: '', state: 'ended', reward: null };
    const [session, key] = await this.read(sessionId);
    return key === keyHash && session !== null ? session : over;
  }

  /** The session; null when there is none, or its group is over. */
  async byId(sessionId: string): Promise<OpenSession | null> {
    return (await this.read(sessionId))[0];
  }

  /** Notes the agent's reward, in place of one before. */
  setReward(sessionId: string, reward: number): Promise<SessionVerdict> {
    return this.change(scripts.setReward, sessionId, String(reward));
  }

  /**
   * Ends the session, for good; `over`: it had ended. `AgentSessions.ended` tells the policy, which otherwise sees it within a
   * second.
   */
  end(sessionId: string): Promise<SessionVerdict> {
    return this.change(scripts.end, sessionId, randomUUID());
  }

  /** Standing of the sessions of a group; null when another attempt at its job, or none, has it. */
  async standing(group: string, owner: string): Promise<GroupStanding | null> {
    const flat = await scripts.look.run(this.redis, [this.keys.sessions(group)], [owner]);
    if (flat === null) return null;
    const [takenForMs, ...rest] = flat as [number, ...(number | string)[]];
    return {
      takenForMs: takenForMs < 0 ? null : takenForMs,
      sessions: Array.from({ length: rest.length / 2 }, (_, rollout) => ({
        hasEnded: rest[2 * rollout] === 1,
        reward: rest[2 * rollout + 1] === '' ? null : Number(rest[2 * rollout + 1]),
      })),
    };
  }

  /**
   * Keeps calls that were answered, the first of which is the session's `position`-th. Null once they are; else how many are
   * kept, when a Redis that died has forgotten some before.
   *
   * @throws {ForgeError} CONFLICT_SESSION_OVER; TRANSIENT_SESSION_LOST when another attempt at the job, or none, has the group.
   */
  async keep(
    sessionId: string,
    owner: string,
    position: number,
    calls: readonly KeptCall[],
  ): Promise<number | null> {
    const { group, rollout } = placeOf(sessionId)!;
    const args = [rollout, owner, position, ...calls.map(encode)];
    const result = await scripts.keep.run(this.redis, [this.keys.sessions(group)], args);
    if (result === 'over')
      throw new ForgeError('CONFLICT_SESSION_OVER', `session ${sessionId} is over`, { session: sessionId });
    if (result === 'moved') {
      const message = `session ${sessionId} is not at this policy any more; call the one that has it by now`;
      throw new ForgeError('TRANSIENT_SESSION_LOST', message, { session: sessionId });
    }
    return result === 'kept' ? null : (result as number);
  }

  /** Calls of a session that were answered, in order. */
  async calls(sessionId: string): Promise<KeptCall[]> {
    const place = placeOf(sessionId);
    if (place === null) return [];
    const key = this.keys.sessions(place.group);
    const count = Number((await this.redis.hget(key, `${place.rollout}:calls`)) ?? 0);
    if (count === 0) return [];
    const fields = Array.from({ length: count }, (_, position) => `${place.rollout}:${position}`);
    const stored = await this.redis.hmgetBuffer(key, ...fields);
    return stored.map((bytes) => decode(keptCallSchema, bytes ?? undefined, `call of session ${sessionId}`));
  }

  /** Forgets the sessions of an evaluation that are still this owner's; those of a group go with its publication. */
  async remove(group: string, owner: string): Promise<void> {
    await scripts.remove.run(this.redis, this.retired(group), [owner]);
  }

  private async change(
    script: typeof scripts.end,
    sessionId: string,
    argument: string,
  ): Promise<SessionVerdict> {
    const place = placeOf(sessionId);
    if (place === null) return 'unknown';
    const keys = [this.keys.sessions(place.group)];
    return (await script.run(this.redis, keys, [place.rollout, argument])) as SessionVerdict;
  }

  /** The session and the hash of its key. */
  private async read(sessionId: string): Promise<[OpenSession | null, string | null]> {
    const place = placeOf(sessionId);
    if (place === null) return [null, null];
    const { group, rollout } = place;
    const fields = ['size', 'replica', 'taken', `${rollout}:key`, `${rollout}:ended`, `${rollout}:reward`];
    const [size, replica, taken, key, ended, reward] = await this.redis.hmget(
      this.keys.sessions(group),
      ...fields,
    );
    if (rollout >= Number(size ?? 0)) return [null, null];
    const begun = typeof taken === 'string' ? 'open' : 'waiting';
    const session: OpenSession = {
      sessionId,
      group,
      rollout,
      replica: replica ?? '',
      state: typeof ended === 'string' ? 'ended' : begun,
      reward: typeof reward === 'string' ? Number(reward) : null,
    };
    return [session, key ?? null];
  }

  private retired(group: string): string[] {
    const { sessions, sessionKeys, sessionKeysOver, sessionOffers } = this.keys;
    return [sessions(group), sessionKeys, sessionKeysOver, sessionOffers];
  }
}

/** Member of the sorted set of offers: groups are found there by their sample. */
function offerOf(group: string, sampleId: string): string {
  return `${group} ${sampleId}`;
}

/** Group and rollout of a session; null for an id of none. */
function placeOf(sessionId: string): { group: string; rollout: number } | null {
  const [, group, rollout] = /^(.+)-(\d{1,6})$/s.exec(sessionId) ?? [];
  return group === undefined ? null : { group, rollout: Number(rollout) };
}

function notInFlight(group: string): ForgeError {
  return new ForgeError('CANCELLED', `group ${group} is not in flight any more`, { group });
}
