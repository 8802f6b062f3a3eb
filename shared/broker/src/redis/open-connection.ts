import { Cluster, Redis } from 'ioredis';

const CLUSTER = /^redis(s?)\+cluster:\/\/(?:([^:@]*)(?::([^@]*))?@)?([^/?]+)/;
/** Pause before a command that found no master asks again, while the cluster makes another one the master. */
const FAILOVER_PAUSE_MS = 200;
/** A command waits for a master as long as for a lost Redis: for ever, about. */
const MAX_REDIRECTIONS = 1_000_000;

const RETRY_CAP_MS = 500;

/**
 * Options of every connection: commands wait for a lost Redis, and reconnecting never pauses long. Commands are not
 * gathered in pipelines: of one that was answered in part when Redis went away, ioredis gives the rest up.
 */
export const PATIENT = {
  maxRetriesPerRequest: null,
  /**
   * A connection that is silent for so long while an answer is due is given up: a network that went away says nothing, and TCP
   * tries again after pauses as long as it was away. No command blocks longer than 10 s (BullMQ's).
   */
  socketTimeout: 12_000,
  connectTimeout: 5_000,
  enableAutoPipelining: false,
  /** A timer of this length keeps a process going whose Redis was away when it disconnected. */
  disconnectTimeout: 200,
  retryStrategy: (attempt: number): number => Math.min(50 * attempt, RETRY_CAP_MS),
};

/** Whether an address is that of a cluster: `redis+cluster://USER:PASSWORD@HOST:PORT,HOST:PORT`. */
export function isClusterAddress(url: string): boolean {
  return CLUSTER.test(url);
}

/**
 * A connection to the Redis, or to the masters of the cluster, at `url`. Commands are the same for both: all keys of a run lie in
 * one slot, so that scripts and transactions find them together. What differs has functions here.
 */
export function openConnection(url: string, name?: string): Redis {
  const options = { ...PATIENT, ...(name !== undefined && { connectionName: name }) };
  const [, secure, user, password, hosts = ''] = CLUSTER.exec(url) ?? [];
  if (hosts === '') return new Redis(url, options);
  const nodes = hosts.split(',').map((node) => {
    const [, host, port = '6379'] = /^\[?([^\]]*?)\]?(?::(\d+))?$/.exec(node) ?? [];
    return { host: host!, port: Number(port) };
  });
  const redisOptions = {
    ...options,
    ...(user && { username: decodeURIComponent(user) }),
    ...(password && { password: decodeURIComponent(password) }),
    ...(secure && { tls: {} }),
  };
  const cluster = new Cluster(nodes, {
    redisOptions,
    // Certificates name hosts, not the addresses they have.
    dnsLookup: (address, callback) => {
      callback(null, address);
    },
    maxRedirections: MAX_REDIRECTIONS,
    retryDelayOnFailover: FAILOVER_PAUSE_MS,
    retryDelayOnClusterDown: FAILOVER_PAUSE_MS,
    retryDelayOnTryAgain: FAILOVER_PAUSE_MS,
    clusterRetryStrategy: PATIENT.retryStrategy,
    slotsRefreshTimeout: 5_000,
    enableAutoPipelining: false,
  });
  return asRedis(cluster);
}

/** Another connection to the same place, for commands that block. */
export function openAnother(redis: Redis): Redis {
  const cluster = clusterOf(redis);
  return cluster === null ? redis.duplicate(PATIENT) : asRedis(cluster.duplicate());
}

/** The servers that have keys: the one there is, or the masters of the cluster. */
export function serversOf(redis: Redis): Redis[] {
  return clusterOf(redis)?.nodes('master') ?? [redis];
}

function clusterOf(redis: unknown): Cluster | null {
  return redis instanceof Cluster ? redis : null;
}

function asRedis(cluster: Cluster): Redis {
  // A refusal of one server is told once for all of them.
  cluster.on('node error', (error: Error) => {
    if (cluster.listenerCount('error') > 0) cluster.emit('error', error);
  });
  return cluster as unknown as Redis;
}
