import { distantMessages, SCHEMA_VERSION } from '@forge/contracts';
import { ForgeError } from '@forge/errors';
import type { Redis } from 'ioredis';
import type { RunKeys } from '../keys';

const FIELD = 'schemaVersions';

/** Field of the `run` hash by which a run says what its release writes: that of its newest coordinator. */
export const releaseField = { [FIELD]: JSON.stringify(SCHEMA_VERSION) };

/**
 * Checks that this release reads the messages of the run, and the run those of this release. A run of before there was such
 * a field is taken as it is.
 *
 * @throws {ForgeError} CONFIG_INVALID naming the messages.
 */
export async function checkRelease(redis: Redis, { run }: RunKeys, runId: string): Promise<void> {
  const text = await redis.hget(run, FIELD);
  const distant = text === null ? [] : distantMessages(JSON.parse(text));
  if (distant.length === 0) return;
  const found = distant.map(({ name, theirs, own }) => `${name} ${theirs} (here ${own})`).join(', ');
  throw new ForgeError(
    'CONFIG_INVALID',
    `run ${runId} goes on with a release of Forge that does not work beside this one: it writes ${found}; upgrade over the releases between, or all of it at once by forge resume`,
    { runId, found },
  );
}
