import type { Registry } from '@forge/broker';
import { recordSystemMetric, Reduce } from '@forge/telemetry';

/** Longest absence that ends in recovery: after a longer one the run was taken up again. */
const LONGEST_S = 600;

/**
 * Time a replica that died was missed: from the last sign of its life to its successor's first as a ready one, by the
 * clock of Redis. Call before the successor gives a sign; `isBack` is called after those it gives when ready.
 */
export async function watchRecovery(
  registry: Pick<Registry, 'all'>,
  service: string,
  replica: string,
): Promise<{ isBack: () => Promise<void> }> {
  const seenAtMs = async (): Promise<number | undefined> =>
    (await registry.all(service)).find((one) => one.replica === replica)?.seenAtMs;
  // A replica that ended in order is not registered any more.
  let diedAtMs = await seenAtMs();
  return {
    isBack: async () => {
      if (diedAtMs === undefined) return;
      const seconds = ((await seenAtMs()) ?? NaN) / 1000 - diedAtMs / 1000;
      diedAtMs = undefined;
      if (seconds <= LONGEST_S) recordSystemMetric(`recovery/${service}_s`, seconds, Reduce.MAX);
    },
  };
}
