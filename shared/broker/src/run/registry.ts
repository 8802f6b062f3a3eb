import { check, replicaSchema, type Replica } from '@forge/contracts';
import type { Redis } from 'ioredis';
import { runKeys } from '../keys';
import { Script } from '../redis/script';

/** A replica that has not been seen for so long is taken for dead. */
const DEAD_AFTER_MS = 2_000;

/** KEYS replicas of a service   ARGV replica, process id   Returns how many were removed. */
export const removeReplica = new Script(`
local stored = redis.call('HGET', KEYS[1], ARGV[1])
if not stored or cjson.decode(stored).pid ~= tonumber(ARGV[2]) then return 0 end
return redis.call('HDEL', KEYS[1], ARGV[1])
`);

/** KEYS any of the run   Returns its server's time: seconds, microseconds. */
const time = new Script(`return redis.call('TIME')`);

/** Replicas of each service that are alive, and where they answer. */
export class Registry {
  private readonly keyOf: (service: string) => string;
  private readonly startsKey: string;
  private readonly servedKey: string;

  constructor(
    private readonly redis: Redis,
    runId: string,
    private readonly deadAfterMs = DEAD_AFTER_MS,
  ) {
    const { replicas, starts, served } = runKeys(runId);
    this.keyOf = replicas;
    this.startsKey = starts;
    this.servedKey = served;
  }

  /** Counts a process that begins to work under a name; to be called once by each. */
  async begins(service: string, replica: string): Promise<void> {
    await this.redis.hincrby(this.startsKey, `${service}/${replica}`, 1);
  }

  /** How many processes of the run began to work under each name so far, by `service/replica`: the first, and restarts. */
  async starts(): Promise<ReadonlyMap<string, number>> {
    const counts = await this.redis.hgetall(this.startsKey);
    return new Map(Object.entries(counts).map(([name, count]) => [name, Number(count)]));
  }

  /** Says where a replica serves clients; whoever has its name next is to be found there, too. */
  async serves(service: string, replica: string, address: string): Promise<void> {
    await this.redis.hset(this.servedKey, `${service}/${replica}`, address);
  }

  /** Address at which the replica of this name serves clients, or did so before it died; null: none yet. */
  servedAt(service: string, replica: string): Promise<string | null> {
    return this.redis.hget(this.servedKey, `${service}/${replica}`);
  }

  /** Addresses of the run's gateways for agents that are ready, without `/v1`, in the order of their names. */
  async gatewayAddresses(): Promise<string[]> {
    const ready = (await this.list('gateway')).filter(({ isReady }) => isReady);
    const addresses = await Promise.all(ready.map(({ replica }) => this.servedAt('gateway', replica)));
    return addresses.filter((address) => address !== null);
  }

  /** Says that a replica is alive; to be repeated well within two seconds. */
  async heartbeat(replica: Omit<Replica, 'seenAtMs'>): Promise<void> {
    const record: Replica = { ...replica, seenAtMs: await this.nowMs() };
    await this.redis.hset(this.keyOf(replica.service), replica.replica, JSON.stringify(record));
  }

  /** Takes a replica out that leaves, but not another process that has taken on its name. */
  async remove(service: string, replica: string, pid: number): Promise<void> {
    await removeReplica.run(this.redis, [this.keyOf(service)], [replica, pid]);
  }

  /** Live replicas, in a stable order. */
  async list(service: string): Promise<Replica[]> {
    return (await this.all(service))
      .filter(({ isAlive }) => isAlive)
      .map(({ isAlive: _, silentMs: __, ...replica }) => replica);
  }

  /**
   * The same with those that did not leave, but have not been heard of for a while: they, or Redis, may have died.
   * `silentMs`: since the last heartbeat.
   */
  async all(service: string): Promise<(Replica & { isAlive: boolean; silentMs: number })[]> {
    const [all, nowMs] = await Promise.all([this.redis.hgetall(this.keyOf(service)), this.nowMs()]);
    return Object.values(all)
      .map((text) => check(replicaSchema, JSON.parse(text), `replica of ${service}`))
      .map((replica) => ({ ...replica, silentMs: nowMs - replica.seenAtMs }))
      .map((replica) => ({ ...replica, isAlive: replica.silentMs < this.deadAfterMs }))
      .sort((a, b) => a.replica.localeCompare(b.replica));
  }

  /** The clock of the server that has the run, which all hosts share. */
  private async nowMs(): Promise<number> {
    const [seconds, microseconds] = (await time.run(this.redis, [this.startsKey], [])) as [string, string];
    return Number(seconds) * 1000 + Math.floor(Number(microseconds) / 1000);
  }
}
