import { check } from '@forge/contracts';
import type { Redis } from 'ioredis';
import { z } from 'zod';
import { runKeys } from './keys';

const replicaSchema = z.strictObject({
  service: z.string(),
  replica: z.string(),
  url: z.string(),
  pid: z.int(),
  isReady: z.boolean(),
  /** Server time of the last heartbeat, in ms. */
  seenAtMs: z.number(),
});

export type Replica = z.infer<typeof replicaSchema>;

/** A replica that has not been seen for so long is taken for dead. */
const DEAD_AFTER_MS = 2_000;

/** Which replicas of which service are alive, and where they answer. */
export class Registry {
  private readonly keyOf: (service: string) => string;

  constructor(
    private readonly redis: Redis,
    runId: string,
    private readonly deadAfterMs = DEAD_AFTER_MS,
  ) {
    this.keyOf = runKeys(runId).replicas;
  }

  /** Says that a replica is alive; to be repeated well within two seconds. */
  async heartbeat(replica: Omit<Replica, 'seenAtMs'>): Promise<void> {
    const record: Replica = { ...replica, seenAtMs: await this.nowMs() };
    await this.redis.hset(this.keyOf(replica.service), replica.replica, JSON.stringify(record));
  }

  async remove(service: string, replica: string): Promise<void> {
    await this.redis.hdel(this.keyOf(service), replica);
  }

  /** Live replicas, in a stable order. */
  async list(service: string): Promise<Replica[]> {
    const [all, nowMs] = await Promise.all([this.redis.hgetall(this.keyOf(service)), this.nowMs()]);
    return Object.values(all)
      .map((text) => check(replicaSchema, JSON.parse(text), `replica of ${service}`))
      .filter(({ seenAtMs }) => nowMs - seenAtMs < this.deadAfterMs)
      .sort((a, b) => a.replica.localeCompare(b.replica));
  }

  /** The clock of Redis, which all hosts share. */
  private async nowMs(): Promise<number> {
    const [seconds, microseconds] = await this.redis.time();
    return Number(seconds) * 1000 + Math.floor(Number(microseconds) / 1000);
  }
}
