import { join } from 'node:path';
import { connectRedis, provisionRedis, withoutPassword, type ProvisionedRedis } from '@forge/broker';
import { cliEnvironment, type Recipe } from '@forge/config';
import { ForgeError } from '@forge/errors';
import { redisUrlOf, type RunRecord } from '@forge/runs';

/**
 * The Redis a run goes on with: its own one, started again from its files, or the one it was given. One that is gone
 * without REDIS_URL naming another is replaced by an own one, in which there is no state.
 */
export async function redisForResume(
  record: RunRecord,
  { restartsPerMinute, redisWaitSeconds }: Pick<Recipe['limits'], 'restartsPerMinute' | 'redisWaitSeconds'>,
  say: (message: string) => void,
): Promise<ProvisionedRedis> {
  const { id, redisDir, redisUrl } = record;
  const given = cliEnvironment().redisUrl;
  const own = (dir: string): Promise<ProvisionedRedis> =>
    provisionRedis({ dir, log: say, mayInstall: true, restartsPerMinute });
  if (redisDir !== null) return own(redisDir);
  if (given === undefined && !(await answers(record, redisWaitSeconds * 1000, say))) {
    say(`Redis at ${redisUrl}, where the state of ${id} was, does not answer (REDIS_URL names another)`);
    return own(join('.forge', 'redis', id));
  }
  if (given !== undefined && withoutPassword(given) !== redisUrl)
    say(
      `REDIS_URL names another address than ${redisUrl}, where the state of ${id} was; what is there stays`,
    );
  const url = given ?? redisUrl;
  return provisionRedis({ url, dir: '', log: say, mayInstall: false });
}

async function answers(
  record: RunRecord,
  giveUpAfterMs: number,
  onWait: (message: string) => void,
): Promise<boolean> {
  try {
    const url = redisUrlOf(record);
    (await connectRedis(url, { name: 'forge-resume', giveUpAfterMs, onWait })).disconnect();
    return true;
  } catch (error) {
    // The password of a container went with it.
    const gone = ['TRANSIENT_REDIS_UNREACHABLE', 'CONFLICT_STATE'];
    if (error instanceof ForgeError && gone.includes(error.code)) return false;
    throw error;
  }
}
