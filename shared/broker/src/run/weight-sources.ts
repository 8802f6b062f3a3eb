import { check } from '@forge/contracts';
import type { Redis } from 'ioredis';
import { z } from 'zod';
import { runKeys } from '../keys';
import { Registry } from './registry';

/** Fields of later releases are passed over. */
const offeredSchema = z.object({
  /** Address at which its actor answers, and the id it has there. */
  address: z.string().min(1),
  actor: z.string().min(1),
  /** Hashes of the blobs it has; null: of all versions that are kept. */
  blobs: z.array(z.string()).nullable(),
  /** Hosts that read from it. */
  readers: z.int().min(0),
});

/** The blobs that a process gives to other hosts, and where. */
export type OfferedWeights = z.infer<typeof offeredSchema>;

/** A process that gives a blob. */
export interface WeightHolder extends Pick<OfferedWeights, 'address' | 'actor'> {
  /** `<service>/<replica>` */
  name: string;
}

/** Services whose replicas give weights to other hosts. */
const GIVERS = ['trainer', 'policy'];

/** Givers of the blobs of a run's versions: its trainer, and every host that has fetched them. */
export class WeightSources {
  private readonly key: string;
  private readonly registry: Registry;

  constructor(
    private readonly redis: Redis,
    runId: string,
  ) {
    this.key = runKeys(runId).weightSources;
    this.registry = new Registry(redis, runId);
  }

  /** Says what `name` (`<service>/<replica>`) gives from now on. */
  async offer(name: string, offered: OfferedWeights): Promise<void> {
    await this.redis.hset(this.key, name, JSON.stringify(offered));
  }

  async withdraw(name: string): Promise<void> {
    await this.redis.hdel(this.key, name);
  }

  /** The processes that give a blob and are not dead, those first that fewest hosts read from. */
  async holdersOf(sha256: string): Promise<WeightHolder[]> {
    const [all, ...replicas] = await Promise.all([
      this.redis.hgetall(this.key),
      ...GIVERS.map((service) => this.registry.all(service)),
    ]);
    // A trainer gives its first version before it is registered.
    const dead = new Set(
      replicas.flat().flatMap(({ service, replica, isAlive }) => (isAlive ? [] : [`${service}/${replica}`])),
    );
    return Object.entries(all)
      .filter(([name]) => !dead.has(name))
      .map(([name, text]) => ({ name, ...check(offeredSchema, JSON.parse(text), `weights of ${name}`) }))
      .filter(({ blobs }) => blobs === null || blobs.includes(sha256))
      .sort((a, b) => a.readers - b.readers || a.name.localeCompare(b.name))
      .map(({ name, address, actor }) => ({ name, address, actor }));
  }
}
