import type { LedgerSnapshot } from '@forge/broker';
import { storedBound } from '@forge/contracts';

export type RolloutHistory = NonNullable<ReturnType<typeof rolloutHistory>>;

/**
 * History of a group: jobs, versions and hashes by name, null where it did not get that far; null in all when the
 * run knows no such group any more, or yet.
 */
export function rolloutHistory(
  runId: string,
  index: number,
  { groups, versions, leases }: Pick<LedgerSnapshot, 'groups' | 'versions' | 'leases'>,
) {
  const record = groups.get(index);
  if (record === undefined) return null;
  const { state, minVersion, replayOf, origin, step, reason } = record;
  const hashOf = (version: number): string | null => versions.get(version)?.weightsHash ?? null;
  const isTrained = state === 'trained';
  const made = isTrained ? versions.get(step! + 1) : undefined;
  const bound = made?.batch?.maxStaleness ?? leases.find((lease) => lease.step === step)?.maxStaleness;
  return {
    index,
    state,
    job: `r-${runId}-${index}`,
    minVersion,
    replayOf,
    replica: origin?.replica ?? null,
    generatedBy:
      origin === null
        ? null
        : Array.from({ length: origin.newest - origin.oldest + 1 }, (_, k) => origin.oldest + k).map(
            (version) => ({ version, weightsHash: hashOf(version) }),
          ),
    /** The step whose batch had it as a candidate, by the version it makes, as in metrics.jsonl. */
    step: step === null ? null : step + 1,
    lag: step === null || origin === null ? null : step - origin.oldest,
    maxStaleness: bound === undefined ? null : String(storedBound(bound)),
    produced: isTrained ? { version: step! + 1, weightsHash: hashOf(step! + 1) } : null,
    reason,
  };
}
