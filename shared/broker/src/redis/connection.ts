import { ForgeError, within } from '@forge/errors';
import type { Redis } from 'ioredis';
import { openConnection, serversOf } from './open-connection';
import { withoutPassword } from './redis-password';

const CERTIFICATE_ERROR = /CERT|^UNABLE_TO_|^HOSTNAME_MISMATCH$/;

export interface ConnectOptions {
  /** Shown by CLIENT LIST. */
  name: string;
  /** Called about once a second while Redis does not answer, at the start. */
  onWait?: (message: string) => void;
  /** How long to wait for the first answer. */
  giveUpAfterMs: number;
}

/**
 * A connection to a Redis that answers.
 *
 * @throws {ForgeError} TRANSIENT_REDIS_UNREACHABLE when it does not answer in time; CONTRACT_UNAUTHORIZED at once
 *   when it does not accept user or password, or its certificate is not trusted; CONFIG_INVALID when it would evict keys,
 *   does not have the database, or is older than 6.2.
 */
export async function connectRedis(url: string, options: ConnectOptions): Promise<Redis> {
  const redis = openConnection(url, options.name);
  let lastError = 'no answer';
  const shownUrl = withoutPassword(url);
  let refuse: (error: ForgeError) => void = () => undefined;
  const refused = new Promise<never>((_, reject) => (refuse = reject));
  // No caller waits for this any more once it is connected.
  refused.catch(() => undefined);
  redis.on('error', (error: NodeJS.ErrnoException) => {
    lastError = error.message || error.code || 'no answer';
    const final = refusal(error, shownUrl);
    if (final !== null) refuse(final);
  });
  const startedAt = performance.now();
  const waited = (): number => performance.now() - startedAt;
  const ticker = setInterval(() => {
    const seconds = (ms: number): string => `${Math.round(ms / 1000)} s`;
    options.onWait?.(
      `waiting for Redis at ${shownUrl} (${lastError}), ${seconds(waited())} of ${seconds(options.giveUpAfterMs)}`,
    );
  }, 1000);
  try {
    await within(options.giveUpAfterMs, Promise.race([redis.ping(), refused]), () => {
      const seconds = Math.round(options.giveUpAfterMs / 1000);
      const message = `Redis at ${shownUrl} did not answer within ${seconds} s: ${lastError}`;
      throw new ForgeError('TRANSIENT_REDIS_UNREACHABLE', message, { url: shownUrl });
    });
    await checkDatabase(redis, shownUrl);
    await Promise.all(serversOf(redis).map((server) => checkServer(server, shownUrl)));
    return redis;
  } catch (error) {
    redis.disconnect();
    throw refusal(error as Error, shownUrl) ?? error;
  } finally {
    clearInterval(ticker);
  }
}

/** The memory of a Redis, in bytes. */
export interface RedisMemory {
  /** Its `maxmemory`; null where it has none. */
  maxBytes: number | null;
  usedBytes: number;
  /** Memory of its machine. */
  systemBytes: number;
}

/** Memory of a Redis; of a cluster, that of the server with the least: a run lies on one of them. */
export async function redisMemory(redis: Redis): Promise<RedisMemory> {
  const memories = await Promise.all(serversOf(redis).map(memoryOf));
  const left = ({ maxBytes, systemBytes, usedBytes }: RedisMemory): number =>
    (maxBytes ?? systemBytes) - usedBytes;
  return memories.reduce((least, memory) => (left(memory) < left(least) ? memory : least));
}

async function memoryOf(server: Redis): Promise<RedisMemory> {
  const field = await fieldsOfInfo(server);
  return {
    maxBytes: Number(field('maxmemory')) || null,
    usedBytes: Number(field('used_memory')),
    systemBytes: Number(field('total_system_memory')) || Infinity,
  };
}

async function fieldsOfInfo(redis: Redis): Promise<(name: string) => string> {
  const info = await redis.info();
  return (name) => new RegExp(`^${name}:(.*)$`, 'm').exec(info)?.[1]?.trim() ?? '';
}

/** A connection whose database is refused goes on with database 0, which belongs to another user. */
async function checkDatabase(redis: Redis, url: string): Promise<void> {
  const database = Number(redis.options.db ?? 0);
  if (database === 0) return;
  await redis.select(database).catch((cause: Error) => {
    const message = `Redis at ${url} does not open database ${database}: ${cause.message}; name one that it has, or raise its setting databases`;
    throw new ForgeError('CONFIG_INVALID', message, { url, database });
  });
}

async function checkServer(redis: Redis, url: string): Promise<void> {
  const field = await fieldsOfInfo(redis);
  const version = field('redis_version');
  const [major = 0, minor = 0] = version.split('.').map(Number);
  if (major < 6 || (major === 6 && minor < 2)) {
    throw new ForgeError('CONFIG_INVALID', `Redis at ${url} is version ${version}; 6.2 or newer is needed`, {
      version,
    });
  }
  const policy = field('maxmemory_policy');
  if (policy !== 'noeviction') {
    throw new ForgeError(
      'CONFIG_INVALID',
      `Redis at ${url} has maxmemory-policy ${policy}, which may delete work; set it to noeviction`,
      { policy },
    );
  }
}

/** Error that no waiting mends: the user, the password or the certificate is not accepted. */
function refusal(error: NodeJS.ErrnoException, url: string): ForgeError | null {
  const { message, code = '' } = error;
  const why = /^(WRONGPASS|NOAUTH|NOPERM)/.test(message)
    ? 'set user and password by REDIS_URL=redis://USER:PASSWORD@HOST:PORT'
    : CERTIFICATE_ERROR.test(code)
      ? 'name the authority that signed its certificate by NODE_EXTRA_CA_CERTS=FILE, and the host as the certificate does'
      : null;
  if (why === null) return null;
  // Not the error itself as the cause: it carries the command, and that the password.
  return new ForgeError('CONTRACT_UNAUTHORIZED', `Redis at ${url} is not for us: ${message}; ${why}`, {
    url,
  });
}
